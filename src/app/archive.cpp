#include "app/archive.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "app/deadline.h"
#include "app/open.h"
#include "app/prefetched_wal.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

// On a standby an answer must come soon: while it waits for us, it does not stream.
constexpr std::chrono::seconds kStandbyPatience{5};

RepositoryConfig const* first_without_wal(const Config& config) {
  for (const RepositoryConfig& repository : config.repositories) {
    if (holds_wal(config, repository)) return nullptr;
  }
  return config.repositories.empty() ? nullptr : &config.repositories.front();
}

struct Limits {
  std::chrono::milliseconds patience;
  std::stop_token stop;
};

enum class Situation {
  kArchiveRecovery,
  kStandby,
  kPromotion,
  // Recovery has ended, but not everything is written that makes the new timeline known.
  kRecoveryEnded,
};

// PostgreSQL calls restore_command in the data directory. Source: access/transam/xlog.c
// (StartupXLOG, CheckForStandbyTrigger, writeTimeLineHistory). A promotion is seen only where
// PostgreSQL asks for a file before its startup process has looked: it removes `promote` when it
// does, so most of a standby's last requests look like those of one that goes on. It asks for the
// new timeline's history while the signal file is still there; then it removes standby.signal and
// recovery.signal, and only then asks for its old timeline's history. If that is answered with 255
// it dies, and started again, without a signal file, it goes on on the old timeline.
Situation situation_here() {
  std::error_code error;
  if (fs::exists("standby.signal", error)) {
    return fs::exists("promote", error) ? Situation::kPromotion : Situation::kStandby;
  }
  return fs::exists("recovery.signal", error) ? Situation::kArchiveRecovery
                                              : Situation::kRecoveryEnded;
}

bool is_timeline_history(const ArchiveGetRequest& request) {
  const auto file = parse_wal_file_name(request.file);
  return file && file->kind == WalFileKind::kTimelineHistory;
}

// Nobody writes one: timeline 1 has no parent. PostgreSQL asks for it all the same.
bool is_never_written(const ArchiveGetRequest& request) {
  return request.file == history_file_of({1}).text;
}

ArchiveGetAnswer get(const Config& config, const ArchiveGetRequest& request, Situation situation,
                     const Limits& limits) {
  using Kind = ArchiveGetAnswer::Kind;
  const auto file = parse_wal_file_name(request.file);
  if (!file) {
    throw Error(ErrorKind::kUsage, "this is not the name of a WAL file",
                {.object = request.file,
                 .hint = "PostgreSQL gives it: restore_command = '… archive-get %f \"%p\"'."});
  }
  GetRequest wanted{.file = *file,
                    .destination = fs::absolute(request.destination),
                    .is_standby = situation == Situation::kStandby};
  const fs::path data_directory = wanted.destination.parent_path().parent_path();
  PrefetchedWal prefetched(config, {.data_directory = data_directory,
                                    .history = request.history,
                                    .is_standby = situation == Situation::kStandby ||
                                                  situation == Situation::kPromotion});
  if (const auto source = prefetched.take(*file, wanted.destination, limits.stop)) {
    return {.kind = Kind::kRestored, .failure = {}, .source = *source};
  }
  const auto archive = wal_archive(config, limits.patience);
  if (request.history.empty()) {
    wanted.history = history_to_read(*archive, data_directory, limits.stop);
  } else if (const auto named = parse_history_name(request.history)) {
    wanted.history = *named;
  } else {
    throw Error(ErrorKind::kUsage, "--history wants a name such as 0001-7340123456789012345",
                {.object = request.history});
  }
  if (get_wal(*archive, wanted, limits.stop) == GetOutcome::kAbsent) return {.kind = Kind::kAbsent};
  prefetched.fetched_directly(*file);
  return {.kind = Kind::kRestored};
}

// A folder that is not mounted yet, a bucket that is not there, access that is denied fail at once,
// and may be put right a moment later: unless a standby has something better to do, they are tried
// again like a lost connection. When recovery has ended and the new timeline is about to begin, an
// unknown answer costs more than at any other time, and so is every other failure.
ArchiveGetAnswer get_patiently(const Config& config, const ArchiveGetRequest& request,
                               Situation situation, const Limits& limits) {
  constexpr std::chrono::milliseconds kAgain{500};
  std::error_code error;
  const bool matters = situation == Situation::kRecoveryEnded && is_timeline_history(request) &&
                       !fs::exists(fs::path("pg_wal") / request.file, error);
  const auto may_pass = [&](const Error& failure) {
    if (failure.kind() == ErrorKind::kUsage) return false;
    if (situation == Situation::kStandby) return false;
    return matters || failure.kind() == ErrorKind::kRepository;
  };
  std::optional<Error> last;
  while (true) {
    try {
      return get(config, request, situation, limits);
    } catch (const Error& failure) {
      // The end of the patience says nothing about the cause.
      if (failure.kind() == ErrorKind::kCancelled && last) throw *last;
      if (!may_pass(failure)) throw;
      last = failure;
      std::this_thread::sleep_for(kAgain);
      if (limits.stop.stop_requested()) throw;
    }
  }
}

ArchiveGetAnswer unknown(const Config& config, const ArchiveGetRequest& request,
                         Situation situation, Error error) {
  using Kind = ArchiveGetAnswer::Kind;
  Kind kind = Kind::kUnknown;
  std::error_code ignored;
  if (situation == Situation::kRecoveryEnded && is_timeline_history(request) &&
      fs::exists(fs::path("pg_wal") / request.file, ignored)) {
    kind = Kind::kUnknownHasOwnCopy;
  }
  if (situation == Situation::kStandby) kind = Kind::kUnknownOnStandby;
  if (situation == Situation::kPromotion && config.wal.promote_without_archive) {
    kind = Kind::kUnknownAtPromotion;
  }
  return {.kind = kind, .failure = std::move(error)};
}

}  // namespace

bool holds_wal(const Config& config, const RepositoryConfig& repository) {
  const bool any_as_of = std::ranges::any_of(
      config.repositories, [](const auto& each) { return each.as_of.has_value(); });
  return any_as_of ? repository.as_of.has_value() : repository.wal;
}

std::unique_ptr<Archive> wal_archive(const Config& config, std::chrono::milliseconds patience) {
  std::vector<ArchiveRepository> repositories;
  for (const RepositoryConfig& repository : config.repositories) {
    if (!holds_wal(config, repository)) continue;
    const auto open = [&repository, patience](const std::stop_token& stop) {
      return open_repository(repository, {.patience = patience}, stop);
    };
    const auto open_raw = [&repository, patience] {
      StoreOptions options = store_options(repository);
      options.retry.total_time = patience;
      return open_store(options);
    };
    repositories.push_back({repository.name, repository.url, open, open_raw});
  }
  if (const RepositoryConfig* first = first_without_wal(config)) {
    throw Error(ErrorKind::kConfiguration, "no repository holds WAL: each has 'wal: false'",
                {.object = first->name});
  }
  return std::make_unique<Archive>(config.cluster, std::move(repositories));
}

bool is_called_by_standby() {
  return situation_here() == Situation::kStandby;
}

ArchiveGetAnswer archive_get(const Config& config, const ArchiveGetRequest& request,
                             const std::stop_token& stop) noexcept {
  Situation situation = Situation::kArchiveRecovery;
  try {
    if (is_never_written(request)) return {.kind = ArchiveGetAnswer::Kind::kAbsent};
    situation = situation_here();
    const std::chrono::milliseconds patience =
        situation == Situation::kStandby ? kStandbyPatience : config.wal.timeout;
    const Deadline deadline(stop, patience);
    return get_patiently(config, request, situation,
                         {.patience = patience, .stop = deadline.token()});
  } catch (const Error& error) {
    return unknown(config, request, situation, error);
  } catch (const std::exception& error) {
    return unknown(config, request, situation, Error(ErrorKind::kBug, error.what()));
  } catch (...) {
    return {};
  }
}

}  // namespace holdfast
