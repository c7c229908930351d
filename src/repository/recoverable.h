#pragma once
// What can be recovered: along one line of histories to one timeline, the intervals that committed
// backups and the unbroken WAL behind them reach, and what lies between.
//
//   a backup whose WAL from start to stop is archived reaches from its stop to the end of the
//     unbroken WAL that follows
//   a standalone backup without that reaches its own stop, and nothing else
//   a safety backup of a recovered copy reaches its own stop, whatever is archived
//   any other backup without its WAL is unusable
//
// A gap is what lies between two intervals, or behind the last one where WAL is stored that nothing
// reaches. Missing segments that no backup would need are not a gap.
//
// Trust: the listing says what is there; summaries say times, and where none can be read a time is
//   unknown, never guessed.
// Errors: those of the store; kDamage for a history record. Threads: any; plain data.

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "repository/catalogue.h"
#include "repository/wal_path.h"

namespace holdfast {

// The histories of a cluster with all that is stored in them, from listings and commit records.
struct ArchiveSurvey {
  std::string cluster;
  std::vector<HistoryRecord> histories;
  std::vector<WalListing> listings;     // of each history
  std::vector<CatalogueEntry> backups;  // whatever their state, oldest first
  // Records of histories that cannot be read, as sentences. What a backup says of its history
  // stands in for them: a restore must not fail for a record that only informs. Forks are not known
  // then.
  std::vector<std::string> damaged_histories = {};
};
ArchiveSurvey survey_archive(const Repository& repository, const std::string& cluster,
                             const std::stop_token& stop);

struct WalPoint {
  Lsn lsn;
  std::optional<Timestamp> time = {};  // nullopt: not known
};

// A committed backup, as far as it matters here.
struct UsableBackup {
  BackupName name;
  TimelineId timeline;
  Lsn start_lsn, stop_lsn;
  Timestamp start_time, stop_time;
  bool standalone = false;
  bool bounded = false;  // a safety backup
};

struct RecoverableInterval {
  enum class Reach {
    kArchive,  // on through archived WAL
    kOwnEnd,   // from the backup's own WAL; from and to are its stop
  };
  // Of to.time, the time of the last commit.
  enum class LastCommit {
    kKnown,
    kNone,     // no transaction finished behind the last backup
    kUnknown,  // segments at the end have no index, or none of those that were looked at has one
  };
  WalPoint from;  // the first backup's stop
  WalPoint to;
  Reach reach = Reach::kArchive;
  LastCommit last_commit = LastCommit::kUnknown;
  Lsn last_record;                    // where the last record begins; invalid when not known
  SegmentRange segments;              // the run of WAL; with kOwnEnd, what the backup needed
  std::vector<UsableBackup> backups;  // by stop
};

inline constexpr std::size_t kMaxListedMissing = 100;
struct RecoveryGap {
  WalPoint from;
  std::optional<WalPoint> to;         // nullopt: to the end of what is stored
  std::vector<SegmentRange> missing;  // at most kMaxListedMissing
  std::uint64_t missing_segments = 0;
  std::uint64_t unreachable_segments = 0;  // stored, but of no use
};

struct UnusableBackup {
  BackupName name;
  std::string reason;
};

struct RecoverableLine {
  WalPath path;
  std::vector<RecoverableInterval> intervals;  // by LSN
  std::vector<RecoveryGap> gaps;
  std::vector<UnusableBackup> unusable;
};

// How many heads may be read for the last commit of an interval.
struct RecoverableOptions {
  std::uint64_t max_heads = 64;
};
// kNotFound when there is no such history or timeline in it, or when the timeline's history file is
// not stored; kDamage when it is unreadable. Where it is not stored, a standalone backup on that
// timeline can still be recovered, because it brings the file: the line is that timeline's alone.
RecoverableLine recoverable_line(const Repository& repository, const ArchiveSurvey& survey,
                                 const HistoryName& history, TimelineId timeline,
                                 const RecoverableOptions& options, const std::stop_token& stop);

// The path alone; kNotFound whenever the history file is not stored.
WalPath wal_path_of(const Repository& repository, const ArchiveSurvey& survey,
                    const HistoryName& history, TimelineId timeline, const std::stop_token& stop);
// Timelines of which the line has WAL, a history file or a backup, ascending.
std::vector<TimelineId> timelines_of_line(const ArchiveSurvey& survey, const WalLine& line);

// Intervals and unusable backups without what only summaries tell. No request is made.
void reach_of_backups(const ArchiveSurvey& survey, RecoverableLine& line);

}  // namespace holdfast
