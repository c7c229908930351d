#pragma once
// Histories: the lines of backups and WAL of one cluster (invariant 6). Each is opened by a
// create-only record at <cluster>/<NNNN-system identifier>/history.
//
// The first is opened by `init`; `init --upgrade` opens one for a new system identifier, and
// `init --take-over` one that leaves another at a fork: a recovered copy or a server that was set
// back to an older state then writes where nothing else is. Taking over is all that fences: the
// history that was left takes nothing more from a server that does not know of the fork.
//
// `recover backup` opens a side line: it holds the safety backups of one recovered copy, which
// writes no WAL and took over nothing. No server writes it, no recovery follows it unless one of
// its backups is named, and it fences nobody, until a server that was restored from it takes it
// over.
//
// Which history a server writes: a data directory that took over carries the name of its history
// in kHistoryBinding. One without it is of the history that `init` or `init --upgrade` opened for
// its system identifier: nothing is guessed from what the archive holds.

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/wal_position.h"
#include "repository/names.h"
#include "repository/repository.h"

namespace holdfast {

enum class HistoryReason { kInit, kUpgrade, kTakeOver, kRecovery };

// Where a history that was taken over leaves its parent: WAL of the parent's timelines up to
// `timeline`, in segments that begin before `lsn`, is part of it too.
struct HistoryFork {
  std::uint32_t parent = 0;  // number of the history
  TimelineId timeline;
  Lsn lsn;  // begin of a segment
  bool operator==(const HistoryFork&) const = default;
};

// Of a side line: whose state its backups are.
struct SideLine {
  std::uint32_t of = 0;  // number of the history that was recovered
  std::string recovery;  // which copy, for whoever goes on with it
  bool operator==(const SideLine&) const = default;
};

struct HistoryRecord {
  HistoryName name;
  HistoryReason reason = HistoryReason::kInit;
  std::optional<HistoryFork> fork = {};  // of a take-over
  std::optional<SideLine> side = {};     // of a recovery
  int postgres_version_num = 0;          // when it was opened
  WalSegmentSize wal_segment_size;
  std::string opened;     // RFC 3339
  std::string opened_by;  // host
};

// The names alone, by number, from a listing: their records may be damaged or missing.
std::vector<HistoryName> list_history_names(const Repository& repository,
                                            const std::string& cluster,
                                            const std::stop_token& stop);
// The record of one history; missing or damaged is kDamage.
HistoryRecord read_history(const Repository& repository, const std::string& cluster,
                           const HistoryName& name, const std::stop_token& stop);

// All histories of a cluster, by number; empty when the cluster is not registered.
std::vector<HistoryRecord> list_histories(const Repository& repository, const std::string& cluster,
                                          const std::stop_token& stop);

// Who took a history over: directly, or a side line that came from it. nullptr: nobody.
const HistoryRecord* taken_over_by(const std::vector<HistoryRecord>& histories,
                                   const HistoryName& history);
// The newest one that is no side line; `histories` are a cluster's, by number, and not empty.
const HistoryRecord& newest_history(const std::vector<HistoryRecord>& histories);

struct ClusterIdentity {
  std::uint64_t system_identifier = 0;
  int postgres_version_num = 0;
  WalSegmentSize wal_segment_size;
  std::string host;
};
// Opens the first history of a cluster; when one is open already for this very cluster, returns it.
// Another system identifier under this cluster name is kRefused.
struct Registration {
  HistoryRecord history;
  bool created = false;
};
Registration register_cluster(const Repository& repository, const std::string& cluster,
                              const ClusterIdentity& identity, const std::stop_token& stop);

// In a data directory: the name of the history that it writes, if it took over. Not backed up.
inline constexpr std::string_view kHistoryBinding = "holdfast.history";
struct HistoryBinding {
  std::string cluster;
  HistoryName history;
};
// kDamage when the file is there and makes no sense.
std::optional<HistoryBinding> read_history_binding(const std::filesystem::path& data_directory);
void write_history_binding(const std::filesystem::path& data_directory,
                           const HistoryBinding& binding);

// kRefused while the directory carries the marker of a restore: neither its WAL nor its backups may
// go where the source's are before it took over.
void require_taken_over(const std::filesystem::path& data_directory);

// The history that a server with `identity` and `binding` writes. kRefused, naming the way out:
// when the cluster is not registered or is another one, and when its history was taken over.
HistoryRecord history_to_write(const std::vector<HistoryRecord>& histories,
                               const std::string& cluster, const ClusterIdentity& identity,
                               const std::optional<HistoryBinding>& binding);

struct NewHistory {
  HistoryReason reason = HistoryReason::kUpgrade;
  std::optional<HistoryFork> fork = {};
  std::optional<SideLine> side = {};
};
// Opens the history behind all others. kRefused when somebody else opened that one at the same
// moment.
HistoryRecord open_history(const Repository& repository, const std::string& cluster,
                           const ClusterIdentity& identity, const NewHistory& wanted,
                           const std::stop_token& stop);

// Registers a history of another repository of this cluster as it is there: same number, same fork.
// True when it was not known here. kRefused when another history has the number, or when the one of
// this name has another fork or segment size: then the two repositories went different ways.
bool adopt_history(const Repository& repository, const std::string& cluster,
                   const HistoryRecord& record, const std::stop_token& stop);

// A history and those that it came from, youngest first, each with what of it belongs to the line.
struct LineStep {
  HistoryName history;
  std::optional<HistoryFork> until = {};  // absent for the history itself: all of it
  bool has_timeline(TimelineId timeline) const { return !until || timeline <= until->timeline; }
  bool has(TimelineId timeline, Lsn segment_start) const {
    return has_timeline(timeline) && (!until || segment_start < until->lsn);
  }
};
std::vector<LineStep> line_of(const std::vector<HistoryRecord>& histories,
                              const HistoryName& history);

}  // namespace holdfast
