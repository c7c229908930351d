#include "app/archive.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "app/open.h"
#include "core/text.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

// On a standby an answer must come soon: while it waits for us, it does not stream.
constexpr std::chrono::seconds kStandbyPatience{5};

RepositoryConfig const* first_without_wal(const Config& config) {
  for (const RepositoryConfig& repository : config.repositories) {
    if (repository.wal) return nullptr;
  }
  return config.repositories.empty() ? nullptr : &config.repositories.front();
}

// Stops a command that has not ended in time, whatever it waits for.
class Deadline {
 public:
  Deadline(const std::stop_token& outer, std::chrono::milliseconds after)
      : chain_(outer, [this] { source_.request_stop(); }),
        timer_([this, after](const std::stop_token& ended) {
          std::mutex mutex;
          std::unique_lock lock(mutex);
          std::condition_variable_any changed;
          if (!changed.wait_for(lock, ended, after, [&] { return ended.stop_requested(); })) {
            passed_ = true;
            source_.request_stop();
          }
        }) {}

  std::stop_token token() const { return source_.get_token(); }
  bool passed() const { return passed_; }

 private:
  std::stop_source source_;
  std::stop_callback<std::function<void()>> chain_;
  std::atomic<bool> passed_ = false;
  std::jthread timer_;
};

enum class Situation { kArchiveRecovery, kStandby, kPromotion };

// PostgreSQL calls restore_command in the data directory.
Situation situation_here() {
  std::error_code error;
  if (!fs::exists("standby.signal", error)) return Situation::kArchiveRecovery;
  return fs::exists("promote", error) ? Situation::kPromotion : Situation::kStandby;
}

GetOutcome get(const Config& config, const ArchiveGetRequest& request,
               std::chrono::milliseconds patience, const std::stop_token& stop) {
  const auto file = parse_wal_file_name(request.file);
  if (!file) {
    throw Error(ErrorKind::kUsage, "this is not the name of a WAL file",
                {.object = request.file,
                 .hint = "PostgreSQL gives it: restore_command = '… archive-get %f \"%p\"'."});
  }
  const auto archive = wal_archive(config, patience);
  GetRequest wanted{.file = *file, .destination = fs::absolute(request.destination)};
  if (request.history.empty()) {
    const fs::path data_directory = wanted.destination.parent_path().parent_path();
    wanted.history = history_to_read(archive->histories(0, stop), config.cluster, data_directory);
  } else if (const auto named = parse_history_name(request.history)) {
    wanted.history = *named;
  } else {
    throw Error(ErrorKind::kUsage, "--history wants a name such as 0001-7340123456789012345",
                {.object = request.history});
  }
  return get_wal(*archive, wanted, stop);
}

ArchiveGetAnswer unknown(const Config& config, Situation situation, Error error) {
  using Kind = ArchiveGetAnswer::Kind;
  Kind kind = Kind::kUnknown;
  if (situation == Situation::kStandby) kind = Kind::kUnknownOnStandby;
  if (situation == Situation::kPromotion && config.wal.promote_without_archive) {
    kind = Kind::kUnknownAtPromotion;
  }
  return {kind, std::move(error)};
}

}  // namespace

std::unique_ptr<Archive> wal_archive(const Config& config, std::chrono::milliseconds patience) {
  std::vector<ArchiveRepository> repositories;
  for (const RepositoryConfig& repository : config.repositories) {
    if (!repository.wal) continue;
    const auto open = [&repository, patience](const std::stop_token& stop) {
      return open_repository(repository, {.patience = patience}, stop);
    };
    repositories.push_back({repository.name, repository.url, open});
  }
  if (const RepositoryConfig* first = first_without_wal(config)) {
    throw Error(ErrorKind::kConfiguration, "no repository holds WAL: each has 'wal: false'",
                {.object = first->name});
  }
  return std::make_unique<Archive>(config.cluster, std::move(repositories));
}

PushReport archive_push(const Config& config, const fs::path& file, const std::stop_token& stop) {
  const fs::path data_directory = data_directory_of(file);
  prepare_state_directory(config);
  const auto archive = wal_archive(config, config.wal.timeout);
  if (config.wal.acknowledge > archive->size()) {
    throw Error(ErrorKind::kConfiguration,
                fmt::format("wal.acknowledge is {}, but {} repositories hold WAL",
                            config.wal.acknowledge, archive->size()),
                {.object = "wal.acknowledge"});
  }
  Pusher pusher(*archive, {.cluster = config.cluster,
                           .host = host_name(),
                           .data_directory = data_directory,
                           .state_directory = config.state_directory,
                           .acknowledge = config.wal.acknowledge,
                           .compression = config.wal.compression});
  const Deadline deadline(stop, config.wal.timeout);
  try {
    return pusher.push(fs::absolute(file), deadline.token());
  } catch (const Error&) {
    if (stop.stop_requested() || !deadline.passed()) throw;
    throw Error(ErrorKind::kRepository,
                fmt::format("the WAL file was not stored within wal.timeout ({})",
                            human_duration(config.wal.timeout)),
                {.object = file.string(), .hint = "PostgreSQL will try again.", .retryable = true});
  }
}

ArchiveGetAnswer archive_get(const Config& config, const ArchiveGetRequest& request,
                             const std::stop_token& stop) noexcept {
  using Kind = ArchiveGetAnswer::Kind;
  Situation situation = Situation::kArchiveRecovery;
  try {
    situation = situation_here();
    const std::chrono::milliseconds patience =
        situation == Situation::kStandby ? kStandbyPatience : config.wal.timeout;
    const Deadline deadline(stop, patience);
    const GetOutcome outcome = get(config, request, patience, deadline.token());
    return {outcome == GetOutcome::kRestored ? Kind::kRestored : Kind::kAbsent, std::nullopt};
  } catch (const Error& error) {
    return unknown(config, situation, error);
  } catch (const std::exception& error) {
    return unknown(config, situation, Error(ErrorKind::kBug, error.what()));
  } catch (...) {
    return {Kind::kUnknown, std::nullopt};
  }
}

}  // namespace holdfast
