#include "app/init.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "app/open.h"
#include "app/take_over.h"
#include "app/version.h"
#include "backup/preflight.h"
#include "postgres/role.h"
#include "seal/secret.h"
#include "storage/s3_store.h"
#include "wal/push_spool.h"

namespace holdfast {
namespace {

void check_cluster(const Config& config, const ServerInfo& server, InitResult& result) {
  if (config.postgres.data_directory.empty()) {
    result.warnings.emplace_back(
        "postgres.data_directory is not set: whether it belongs to this server is not checked");
    return;
  }
  ServerInfo examined = server;
  // A level that is too low is what init tells how to change, so it is no reason to refuse here.
  examined.wal_level = "replica";
  check_server(examined, config.postgres.data_directory);
}

[[noreturn]] void refuse_overwriting(const std::string& url) {
  throw Error(ErrorKind::kRefused,
              "the store overwrites objects: it does not honour 'If-None-Match: *'",
              {.object = url,
               .hint = "Use a server that does, so that two writers can never destroy each other's "
                       "backups. If nobody else ever writes to this repository, set "
                       "exclusive_writer: true for it."});
}

void create_repository(const RepositoryConfig& config, const std::optional<KeySource>& key,
                       InitResult& result, const std::stop_token& stop) {
  const StoreOptions options = store_options(config);
  create_store(options);
  const auto store = open_store(options);
  if (store->head(names::kDescriptor, stop)) return;
  result.exclusive_create = probe_exclusive_create(*store, scratch_prefix(), stop);
  if (!result.exclusive_create && !config.exclusive_writer) refuse_overwriting(config.url);
  result.repository_created = Repository::create(*store,
                                                 {.key = key,
                                                  .key_label = "first key",
                                                  .holdfast_version = holdfast_version(),
                                                  .exclusive_create = result.exclusive_create},
                                                 stop);
}

// The history that a data directory writes since it took over is not the one of its identifier.
void name_bound_history(const Config& config, const Repository& repository, InitResult& result,
                        const std::stop_token& stop) {
  const auto binding = read_history_binding(config.postgres.data_directory);
  if (!binding || binding->cluster != config.cluster) return;
  const auto histories = list_histories(repository, config.cluster, stop);
  const auto found = std::ranges::find(histories, binding->history, &HistoryRecord::name);
  if (found != histories.end()) {
    result.registration.history = *found;
    return;
  }
  result.warnings.push_back(
      fmt::format("this server writes the history {}, which this repository does not know: run "
                  "'holdfast init --take-over' once more",
                  to_string(binding->history)));
}

Registration register_here(const Config& config, const Repository& repository,
                           const ServerInfo& server, HistoryWish wish, InitResult& result,
                           const std::stop_token& stop) {
  if (wish == HistoryWish::kNo) {
    return register_cluster(repository, config.cluster, identity_of(server, host_name()), stop);
  }
  NewHistoryResult done =
      wish == HistoryWish::kTakeOver ? take_over(config, stop) : register_upgrade(config, stop);
  for (std::string& warning : done.warnings) result.warnings.push_back(std::move(warning));
  if (done.opened) {
    result.warnings.emplace_back(
        "take a backup now: before that, nothing of the new history can be recovered by itself");
  }
  return {done.history, done.opened};
}

void settle_settings(const Config& config, Session& session, ApplySettings apply,
                     InitResult& result) {
  result.settings = backup_settings(session);
  for (PostgresSetting& setting : archive_settings(session, config)) {
    result.settings.push_back(std::move(setting));
  }
  if (apply == ApplySettings::kYes) result.applied = apply_settings(session, result.settings);
  for (const PostgresSetting& setting : result.settings) {
    if (setting.fits) continue;
    const bool set = setting.restart_pending ||
                     std::ranges::find(result.applied, setting.name) != result.applied.end();
    if (setting.on_command_line) {
      result.warnings.emplace_back(
          fmt::format("{} = {} stands on the server's command line: change it there, to {}",
                      setting.name, setting.current, setting.set_to));
    } else if (set && !setting.needs_restart && !setting.restart_pending) {
      continue;  // the reload was enough
    } else if (set) {
      result.warnings.emplace_back(
          fmt::format("restart PostgreSQL: only then {} takes effect", setting.name));
    } else {
      result.warnings.push_back(fmt::format("{}: {} is {}, wanted is {}", setting.without,
                                            setting.name, setting.current, setting.wanted));
    }
  }
}

}  // namespace

std::string scratch_prefix() {
  std::array<std::byte, 4> random{};
  fill_random(random);
  return fmt::format("_check/{}-{}/", to_compact(system_clock().now()), to_hex(random));
}

InitResult init(const Config& config, const RepositoryConfig& repository,
                const InitRequest& request, const std::stop_token& stop) {
  InitResult result{.repository = repository.url,
                    .encrypted = repository.encryption.configured(),
                    .role = request.role};
  Session session = Session::connect(config.postgres.connection, stop);
  const ServerInfo& server = session.server();
  check_cluster(config, server, result);
  const auto key = key_source(repository.encryption);
  in_repository(repository, [&] { create_repository(repository, key, result, stop); });
  if (result.repository_created) forget_pushed(config.state_directory);
  const auto opened = open_repository(repository, stop);
  result.exclusive_create = opened->facts().exclusive_create;
  if (!result.exclusive_create && !repository.exclusive_writer) refuse_overwriting(repository.url);
  result.registration = register_here(config, *opened, server, request.history, result, stop);
  if (request.history == HistoryWish::kNo) name_bound_history(config, *opened, result, stop);
  if (!result.encrypted) result.warnings.emplace_back("the repository is not encrypted");
  result.role_sql = role_sql(request.role, server.version_num);
  result.database = session.query("select current_database()").at(0).at(0).value_or("");
  settle_settings(config, session, request.apply, result);
  return result;
}

}  // namespace holdfast
