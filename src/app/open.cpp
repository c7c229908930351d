#include "app/open.h"

#include <algorithm>
#include <array>

#include <sched.h>
#include <unistd.h>

#include "storage/damaged_view.h"
#include "system/files.h"

namespace holdfast {

StoreOptions store_options(const RepositoryConfig& config) {
  const S3Config& s3 = config.s3;
  return {.url = config.url,
          .s3 = {.region = s3.region,
                 .endpoint = s3.endpoint,
                 .path_style = s3.path_style,
                 .ca_file = s3.ca_file,
                 .verify_tls = s3.verify_tls,
                 .proxy = s3.proxy,
                 .access_key_file = s3.access_key_file,
                 .secret_key_file = s3.secret_key_file,
                 .session_token_file = s3.session_token_file,
                 .profile = s3.profile,
                 .credentials_file = s3.credentials_file,
                 .server_side_encryption = s3.server_side_encryption,
                 .kms_key_id = s3.kms_key_id,
                 .as_of = config.as_of,
                 .class_catalogue = config.storage_class.catalogue,
                 .class_data = config.storage_class.data,
                 .class_wal = config.storage_class.wal}};
}

std::optional<KeySource> key_source(const EncryptionConfig& config) {
  if (!config.key_file.empty()) {
    return KeyFile{parse_key_file(read_secret_file(config.key_file), config.key_file)};
  }
  if (!config.passphrase_file.empty()) {
    return Passphrase{read_secret_file(config.passphrase_file)};
  }
  return std::nullopt;
}

void name_repository(Error& error, const RepositoryConfig& config) {
  if (error.kind() != ErrorKind::kRepository) return;
  const auto names_it = [&](const std::string& text) {
    return text.find(config.url) != std::string::npos;
  };
  if (!names_it(error.message()) && !names_it(error.object())) error.during(config.url);
}

std::unique_ptr<Repository> open_repository(const RepositoryConfig& config,
                                            const std::stop_token& stop) {
  return open_repository(config, {}, stop);
}

std::unique_ptr<Repository> open_repository(const RepositoryConfig& config,
                                            const OpenOptions& options,
                                            const std::stop_token& stop) {
  const auto key = key_source(config.encryption);
  StoreOptions store = store_options(config);
  store.rate = options.rate;
  if (options.patience) {
    store.retry.total_time = *options.patience;
    store.s3.stall_timeout = std::clamp(std::chrono::ceil<std::chrono::seconds>(*options.patience),
                                        std::chrono::seconds(1), store.s3.stall_timeout);
  }
  return in_repository(config, [&] {
    auto opened = open_store(store);
    if (!config.damaged_object.empty()) {
      opened = make_damaged_view(std::move(opened), config.damaged_object);
    }
    return Repository::open(std::move(opened), key, stop);
  });
}

std::string host_name() {
  std::array<char, 256> buffer{};
  if (::gethostname(buffer.data(), buffer.size() - 1) != 0) return "unknown";
  return buffer.data();
}

std::size_t effective_jobs(unsigned configured) {
  if (configured > 0) return configured;
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
  return static_cast<std::size_t>(CPU_COUNT(&allowed));
}

}  // namespace holdfast
