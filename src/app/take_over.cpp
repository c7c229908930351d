#include "app/take_over.h"

#include <algorithm>
#include <filesystem>
#include <ranges>

#include <nlohmann/json.hpp>

#include "app/archive.h"
#include "app/open.h"
#include "backup/preflight.h"
#include "core/fault_point.h"
#include "postgres/data_files.h"
#include "postgres/timeline_history.h"
#include "repository/wal_compare.h"
#include "repository/wal_search.h"
#include "system/files.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kMaxMarkerBytes = std::size_t{64} << 10U;

// The server that this configuration is for: a primary, in the configured data directory.
struct LocalServer {
  ClusterIdentity identity;
  TimelineId timeline;
  Lsn flushed;
};

LocalServer look_at_server(const Config& config, const std::stop_token& stop) {
  Session session = Session::connect(config.postgres.connection, stop);
  check_server(session.server(), config.postgres.data_directory);
  if (session.in_recovery()) {
    throw Error(ErrorKind::kRefused, "this server is in recovery: it does not write WAL of its own",
                {.object = config.postgres.data_directory,
                 .hint = "A standby archives without a take-over once it is promoted. A restored "
                         "copy takes over after it was promoted."});
  }
  return {identity_of(session.server(), host_name()), session.timeline(),
          session.flushed_position()};
}

TimelineHistory local_timeline_history(const fs::path& wal, TimelineId timeline) {
  if (timeline.value == 1) return {};
  const std::string name = timeline_history_file_name(timeline);
  const auto text = read_file(wal / name, kMaxTimelineHistoryBytes);
  if (!text) {
    throw Error(
        ErrorKind::kPostgres, "the timeline's history file is missing",
        {.object = (wal / name).string(),
         .hint = "The server left its older timeline with it. Bring it back from a standby, "
                 "or with 'holdfast archive-get'."});
  }
  return parse_timeline_history(timeline, *text, name);
}

// The complete segments of the server's timeline in pg_wal, ascending; what lies behind the current
// one are recycled files with old content.
std::vector<SegmentName> local_segments(const fs::path& wal, SegmentName current,
                                        WalSegmentSize size) {
  std::vector<SegmentName> segments;
  for (const auto& entry : fs::directory_iterator(wal)) {
    const auto segment = parse_segment_name(entry.path().filename().string(), size);
    if (segment && segment->timeline == current.timeline && segment->number < current.number) {
      segments.push_back(*segment);
    }
  }
  std::ranges::sort(segments);
  return segments;
}

class ForkFinder {
 public:
  ForkFinder(const Repository& repository, const WalLine& line, const LocalServer& server,
             fs::path wal, std::stop_token stop)
      : repository_(repository),
        line_(line),
        server_(server),
        wal_(std::move(wal)),
        stop_(std::move(stop)),
        timelines_(local_timeline_history(wal_, server.timeline)) {}

  HistoryFork find() const {
    Lsn lsn = std::min(start(current()), same_timeline_until());
    for (const TimelineSwitch& left : timelines_.switches) {
      if (is_known(next_behind(left.timeline))) continue;
      lsn = std::min(lsn, start(segment_of(left.timeline, left.at, line_.segment_size)));
      break;
    }
    return {line_.steps.front().history.number, timeline_at(timelines_, lsn), lsn};
  }

  // Whether the archive shows that this server's WAL is not the line's: it has other content under
  // a name of ours, or a segment that this server has not finished.
  bool diverged() const {
    for (const SegmentName& segment : local_segments(wal_, current(), line_.segment_size)) {
      if (archived(segment) == ArchivedAs::kOther) return true;
    }
    return is_stored(current()) ||
           std::ranges::any_of(ancestry(timelines_), [&](const TimelineRange& range) {
             return range.timeline.value > 1 && is_other(range.timeline);
           });
  }

  // Timelines of this server that began behind the fork: their history files must be archived in
  // the new history. PostgreSQL does not offer them again, whether it was told that they are stored
  // (another server's, of the same number and content) or did not archive as they began.
  std::vector<TimelineId> timelines_behind(const HistoryFork& fork) const {
    std::vector<TimelineId> behind;
    for (const TimelineRange& range : ancestry(timelines_)) {
      if (range.timeline.value > fork.timeline.value) behind.push_back(range.timeline);
    }
    return behind;
  }

 private:
  TimelineId next_behind(TimelineId timeline) const {
    const auto ranges = ancestry(timelines_);
    const auto at = std::ranges::find(ranges, timeline, &TimelineRange::timeline);
    return at + 1 == ranges.end() ? server_.timeline : (at + 1)->timeline;
  }

  bool is_known(TimelineId timeline) const {
    const auto stored = read_timeline_history(repository_, line_, timeline, stop_);
    const auto local =
        read_file(wal_ / timeline_history_file_name(timeline), kMaxTimelineHistoryBytes);
    return stored && (!local || *stored == *local);
  }

  bool is_other(TimelineId timeline) const {
    return read_timeline_history(repository_, line_, timeline, stop_) && !is_known(timeline);
  }

  SegmentName current() const {
    return segment_of(server_.timeline, server_.flushed, line_.segment_size);
  }
  Lsn start(SegmentName segment) const { return start_of(segment, line_.segment_size); }

  bool is_stored(SegmentName segment) const {
    for (const WalCandidate& candidate : candidates(segment)) {
      if (repository_.store().head(candidate.object, stop_)) return true;
    }
    return false;
  }

  std::vector<WalCandidate> candidates(SegmentName segment) const {
    return find_candidates(repository_, line_, wal_file_of(segment, line_.segment_size), stop_);
  }

  ArchivedAs archived(SegmentName segment) const {
    const auto local = hash_of_wal_file(wal_ / to_string(segment, line_.segment_size));
    if (!local) return ArchivedAs::kNot;
    for (const WalCandidate& candidate : candidates(segment)) {
      const ArchivedAs as = compare_with_archive(repository_, candidate.object, *local, stop_);
      if (as != ArchivedAs::kNot) return as;
    }
    return ArchivedAs::kNot;
  }

  // Up to where the line's segments of the server's own timeline are proven to be this server's:
  // behind the last that is stored with our content, and before the first with other content.
  // Where the line does not know the timeline at all, its beginning is the fork.
  Lsn same_timeline_until() const {
    if (server_.timeline.value > 1 && !is_known(server_.timeline)) return Lsn{~std::uint64_t{0}};
    // Before its fork, a timeline that the line knows is the line's.
    Lsn proven{0};
    if (server_.timeline.value > 1) {
      proven = start(segment_of(server_.timeline, fork_lsn(timelines_), line_.segment_size));
    }
    for (const SegmentName& segment : local_segments(wal_, current(), line_.segment_size)) {
      const ArchivedAs as = archived(segment);
      if (as == ArchivedAs::kOther) return std::min(start(segment), proven);
      if (as == ArchivedAs::kSame) proven = {start(segment).value + line_.segment_size.bytes};
    }
    return proven;
  }

  const Repository& repository_;
  const WalLine& line_;
  const LocalServer& server_;
  const fs::path wal_;
  const std::stop_token stop_;
  const TimelineHistory timelines_;
};

// The history that the server came from, whether or not it was taken over since.
HistoryName origin(const Config& config, const std::vector<HistoryRecord>& histories,
                   const LocalServer& server) {
  if (const auto restored = restored_from(config, config.postgres.data_directory)) {
    return *restored;
  }
  const auto binding = read_history_binding(config.postgres.data_directory);
  if (binding && binding->cluster == config.cluster) return binding->history;
  for (const HistoryRecord& record : histories | std::views::reverse) {
    if (!record.fork && !record.side &&
        record.name.system_identifier == server.identity.system_identifier) {
      return record.name;
    }
  }
  throw Error(ErrorKind::kRefused,
              fmt::format("this server (system identifier {}) is no part of the cluster '{}'",
                          server.identity.system_identifier, config.cluster),
              {.object = config.postgres.data_directory,
               .hint = "If the cluster was made anew by pg_upgrade or initdb, run 'holdfast init "
                       "--upgrade'. Otherwise give it a 'cluster' name of its own."});
}

bool is_left(const std::vector<HistoryRecord>& histories, const HistoryName& name) {
  return taken_over_by(histories, name) != nullptr;
}

// The history that an earlier, interrupted call opened for this directory, or that it has and that
// nobody took over.
std::optional<HistoryRecord> own_history(const Config& config,
                                         const std::vector<HistoryRecord>& histories) {
  const auto binding = read_history_binding(config.postgres.data_directory);
  if (!binding || binding->cluster != config.cluster) return std::nullopt;
  const auto found = std::ranges::find(histories, binding->history, &HistoryRecord::name);
  if (found == histories.end() || is_left(histories, found->name)) return std::nullopt;
  return *found;
}

// The timeline histories that the new history needs, looked at before anything is changed.
std::vector<LocalWal> local_timeline_histories(const Config& config,
                                               const ClusterIdentity& identity,
                                               const std::vector<TimelineId>& timelines) {
  const fs::path wal = fs::path(config.postgres.data_directory) / "pg_wal";
  std::vector<LocalWal> files;
  for (const TimelineId timeline : timelines) {
    const std::string name = timeline_history_file_name(timeline);
    if (!fs::exists(wal / name)) {
      throw Error(ErrorKind::kRefused, "a timeline history of this server's line is missing",
                  {.object = (wal / name).string(),
                   .hint = fmt::format("Fetch it, in the data directory: 'holdfast archive-get {0} "
                                       "pg_wal/{0}'; then repeat this command.",
                                       name)});
    }
    files.emplace_back(wal / name,
                       WalCluster{identity.system_identifier, identity.wal_segment_size});
  }
  return files;
}

void put_files(const Config& config, const Repository& repository, const HistoryName& history,
               std::vector<LocalWal>& files, const std::stop_token& stop) {
  for (LocalWal& file : files) {
    put_wal(repository, {config.cluster, history}, file.pack(config.wal.compression), stop);
  }
}

// Gives the other repositories the histories that they lack, and `files` of the new one, so that
// all of them go on together.
void open_elsewhere(const Config& config, Archive& archive, NewHistoryResult& result,
                    std::vector<LocalWal> files, const std::stop_token& stop) {
  const auto wanted = list_histories(archive.repository(0, stop), config.cluster, stop);
  for (std::size_t i = 1; i < archive.size(); ++i) {
    try {
      for (const HistoryRecord& record : wanted) {
        adopt_history(archive.repository(i, stop), config.cluster, record, stop);
      }
      put_files(config, archive.repository(i, stop), result.history.name, files, stop);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kCancelled) throw;
      result.warnings.push_back(fmt::format(
          "repository {} does not have all histories yet ({}): repeat this command when it can be "
          "reached",
          archive.about(i).name, error.message()));
    }
  }
}

}  // namespace

std::optional<HistoryName> restored_from(const Config& config, const fs::path& data_directory) {
  const auto text = read_file(data_directory / kRestoreMarker, kMaxMarkerBytes);
  if (!text) return std::nullopt;
  const auto json = nlohmann::json::parse(*text, nullptr, false);
  if (json.is_discarded() || json.value("cluster", "") != config.cluster) return std::nullopt;
  return parse_history_name(json.value("history", ""));
}

NewHistoryResult take_over(const Config& config, const std::stop_token& stop) {
  const LocalServer server = look_at_server(config, stop);
  const auto archive = wal_archive(config, config.wal.timeout);
  const Repository& repository = archive->repository(0, stop);
  const auto histories = archive->histories(0, stop);
  NewHistoryResult result;
  const fs::path data_directory = config.postgres.data_directory;
  const bool restored = fs::exists(data_directory / kRestoreMarker);
  const auto own = own_history(config, histories);
  const HistoryName from = own ? own->name : origin(config, histories, server);
  const WalLine line = wal_line(config.cluster, histories, from);
  const ForkFinder fork(repository, line, server, data_directory / "pg_wal", stop);
  // Bound and marked: an earlier call was interrupted before the marker was removed.
  const bool is_ours = own ? restored || !fork.diverged()
                           : !restored && !is_left(histories, from) && !fork.diverged();
  std::vector<LocalWal> files;
  if (is_ours) {
    result.history = *std::ranges::find(histories, from, &HistoryRecord::name);
    if (!restored)
      result.warnings.emplace_back(
          "nothing to take over: this server writes this history, and the archive has no other "
          "WAL");
  } else {
    const HistoryFork found = fork.find();
    files = local_timeline_histories(config, server.identity, fork.timelines_behind(found));
    result.history = open_history(repository, config.cluster, server.identity,
                                  {.reason = HistoryReason::kTakeOver, .fork = found}, stop);
    result.opened = true;
    fault_point("take_over.opened");
    put_files(config, repository, result.history.name, files, stop);
  }
  open_elsewhere(config, *archive, result, std::move(files), stop);
  if (result.history.fork) {
    write_history_binding(data_directory, {config.cluster, result.history.name});
  }
  fault_point("take_over.bound");
  remove_durably(data_directory / kRestoreMarker);
  return result;
}

NewHistoryResult register_upgrade(const Config& config, const std::stop_token& stop) {
  const LocalServer server = look_at_server(config, stop);
  const auto archive = wal_archive(config, config.wal.timeout);
  const auto histories = archive->histories(0, stop);
  if (histories.empty()) {
    throw Error(ErrorKind::kRefused, fmt::format("cluster '{}' is not registered", config.cluster),
                {.object = config.cluster, .hint = "Run 'holdfast init' without --upgrade."});
  }
  NewHistoryResult result{.history = newest_history(histories)};
  for (const HistoryRecord& record : histories) {
    if (!record.fork && !record.side &&
        record.name.system_identifier == server.identity.system_identifier &&
        record.wal_segment_size == server.identity.wal_segment_size) {
      result.history = record;
      open_elsewhere(config, *archive, result, {}, stop);
      return result;
    }
  }
  result.history = open_history(archive->repository(0, stop), config.cluster, server.identity,
                                {.reason = HistoryReason::kUpgrade}, stop);
  result.opened = true;
  open_elsewhere(config, *archive, result, {}, stop);
  return result;
}

}  // namespace holdfast
