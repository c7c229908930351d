#pragma once
// archive-push and archive-get from the configuration.

#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "app/config.h"
#include "wal/archive.h"
#include "wal/drop_ledger.h"
#include "wal/get.h"
#include "wal/lag.h"
#include "wal/push.h"

namespace holdfast {

// Whether archive-get asks this one: it says `wal: true`, or it is the one to be seen as it was.
bool holds_wal(const Config& config, const RepositoryConfig& repository);
// The repositories that hold WAL. `patience` bounds the retries of one request.
std::unique_ptr<Archive> wal_archive(const Config& config, std::chrono::milliseconds patience);

PushOptions push_options(const Config& config, const std::filesystem::path& data_directory);

struct ArchivePushAnswer {
  PushReport report;
  std::vector<RepositoryLag> behind;  // as the helper saw it last
  std::vector<std::string> warnings;
  WalBacklog backlog;           // of a file that was not stored: why it was dropped or is owed
  std::string dropped_because;  // what kept it from being stored
};
ArchivePushAnswer archive_push(const Config& config, const std::filesystem::path& file,
                               const std::stop_token& stop);
// Of the repositories that need not have a file when it is acknowledged: those that lack some.
std::vector<RepositoryLag> repositories_behind(const Config& config);

struct ArchiveGetRequest {
  std::string file;
  std::filesystem::path destination;
  std::string history;  // --history; empty: that of the data directory
};
// Invariant 5 as a value: nothing is thrown.
struct ArchiveGetAnswer {
  enum class Kind {
    kRestored,
    kAbsent,              // proven
    kUnknown,             // stops recovery
    kUnknownOnStandby,    // PostgreSQL goes on to streaming and asks again
    kUnknownAtPromotion,  // the configuration says to promote all the same
    kUnknownHasOwnCopy,   // PostgreSQL reads the timeline history that it has itself
  };
  enum class Source {
    kRepository,
    kPrefetched,  // the helper had it ready
    kAwaited,     // the helper was just fetching it
  };
  Kind kind = Kind::kUnknown;
  std::optional<Error> failure;  // why it is not known
  Source source = Source::kRepository;
};
ArchiveGetAnswer archive_get(const Config& config, const ArchiveGetRequest& request,
                             const std::stop_token& stop) noexcept;
// Whether PostgreSQL called from the data directory of a standby that is not being promoted: what
// is not known, and be it because there is no configuration, must not shut it down.
bool is_called_by_standby();

}  // namespace holdfast
