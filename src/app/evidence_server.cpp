// Evidence: PostgreSQL, its archiver, what waits in pg_wal, and how a standby replays.
#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <thread>

#include <fmt/format.h>
#include <sys/stat.h>

#include "app/canary.h"
#include "app/clock.h"
#include "app/evidence_parts.h"
#include "backup/archived_wal.h"
#include "backup/preflight.h"
#include "core/cancellation.h"
#include "postgres/data_files.h"
#include "system/files.h"
#include "wal/ready_list.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

// Less than this is what a standby that keeps up is behind.
constexpr std::uint64_t kBehindEnough = std::uint64_t{16} << 20U;
constexpr unsigned kSamples = 20;
constexpr std::chrono::milliseconds kBetweenSamples{100};

std::optional<Timestamp> time_of(const std::optional<std::string>& microseconds) {
  std::int64_t value = 0;
  if (!microseconds) return std::nullopt;
  const char* const end = microseconds->data() + microseconds->size();
  if (std::from_chars(microseconds->data(), end, value).ptr != end) return std::nullopt;
  return Timestamp(std::chrono::microseconds(value));
}

std::uint64_t number_of(const std::optional<std::string>& text) {
  std::uint64_t value = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), value);
  return value;
}

ArchiverEvidence archiver_of(Session& session, const Config& config) {
  ArchiverEvidence archiver{.on = archives_wal(session)};
  for (PostgresSetting& setting : archive_settings(session, config)) {
    if (!setting.fits) archiver.unfit.push_back(std::move(setting));
  }
  const auto rows = session.query(
      "select last_archived_wal, (extract(epoch from last_archived_time) * 1000000)::bigint,"
      " last_failed_wal, (extract(epoch from last_failed_time) * 1000000)::bigint"
      " from pg_catalog.pg_stat_archiver");
  if (rows.empty()) return archiver;
  archiver.last_archived_file = rows[0].at(0).value_or("");
  archiver.last_archived = time_of(rows[0].at(1));
  archiver.last_failed_file = rows[0].at(2).value_or("");
  archiver.last_failed = time_of(rows[0].at(3));
  if (!archiver.failing()) return archiver;
  archiver.said = last_push_failure(config);
  const bool of_before =
      archiver.said && archiver.last_archived && archiver.said->time < *archiver.last_archived;
  if (of_before) archiver.said.reset();  // another program fails now, not archive-push
  return archiver;
}

BacklogEvidence backlog_of(const fs::path& data_directory, WalSegmentSize size) {
  BacklogEvidence backlog{.segments = segments_waiting(data_directory)};
  backlog.bytes = backlog.segments * size.bytes;
  backlog.free_bytes = free_bytes(data_directory / "pg_wal");
  const auto first = files_waiting(data_directory, 1);
  if (first.empty()) return backlog;
  const fs::path note = data_directory / "pg_wal" / "archive_status" / (first[0] + ".ready");
  struct stat status{};
  if (::stat(note.c_str(), &status) != 0) return backlog;  // archived meanwhile
  backlog.oldest = Timestamp(std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::seconds(status.st_mtim.tv_sec) +
      std::chrono::nanoseconds(status.st_mtim.tv_nsec)));
  return backlog;
}

// An advisory lock of one 64-bit key, as PostgreSQL's documentation of pg_locks has it.
bool backup_holds_lock(Session& session) {
  const auto key = static_cast<std::uint64_t>(backup_lock_key(session.server().system_identifier));
  return session
             .query(
                 "select count(*) from pg_catalog.pg_locks where locktype = 'advisory' and"
                 " classid::bigint = $1::bigint and objid::bigint = $2::bigint and"
                 " objsubid = 1 and granted",
                 {std::to_string(key >> 32U), std::to_string(key & 0xffffffffU)})
             .at(0)
             .at(0) != "0";
}

// As who the canary would write: postgres.connection is its connection too.
CanaryEvidence canary_of(Session& session, const Config& config, const std::stop_token& stop) {
  const std::string role = session.query("select current_user").at(0).at(0).value_or("");
  const auto row = last_canary_row({.connection = config.postgres.connection, .role = role}, stop);
  return {.last = row ? std::optional(row->written) : std::nullopt};
}

void look_at(Session& session, const Config& config, const EvidenceOptions& options,
             ServerEvidence& evidence, const std::stop_token& stop) {
  const ServerInfo& server = session.server();
  evidence.version = server.version;
  evidence.standby = server.in_recovery;
  evidence.timeline = session.timeline();
  evidence.clock_ahead = read_clock(session).ahead;
  evidence.archiver = archiver_of(session, config);
  evidence.backup_runs = backup_holds_lock(session);
  const fs::path data = config.postgres.data_directory;
  if (!data.empty()) {
    std::error_code ignored;
    evidence.restored = fs::exists(data / kRestoreMarker, ignored);
    // Where it cannot be read, `check` and `doctor` say so.
    looked_at([&] { evidence.backlog = backlog_of(data, server.wal_segment_size); });
  }
  if (evidence.standby) {
    evidence.replay = look_at_replay(session, {"this standby", options.depth}, stop);
  } else if (config.canary.interval.count() > 0) {
    looked_at([&] { evidence.canary = canary_of(session, config, stop); });
  }
}

}  // namespace

LookAtServer look_at_server(const Config& config, const EvidenceOptions& options,
                            const TimeLimit& limit) {
  LookAtServer look;
  look.evidence.trouble = limit.looked_at(ErrorKind::kPostgres, [&] {
    look.session = Session::connect(config.postgres.connection, limit.token());
    look_at(*look.session, config, options, look.evidence, limit.token());
  });
  return look;
}

ReplayEvidence look_at_replay(Session& session, const ReplayLook& look,
                              const std::stop_token& stop) {
  ReplayEvidence evidence{.whose = look.whose};
  const auto position = [&] {
    return number_of(
        session.query("select pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')").at(0).at(0));
  };
  const auto row = session
                       .query(
                           "select pg_wal_lsn_diff(greatest(pg_last_wal_receive_lsn(),"
                           " pg_last_wal_replay_lsn()), pg_last_wal_replay_lsn()),"
                           " pg_is_wal_replay_paused(),"
                           " exists (select from pg_stat_wal_receiver where pid is not null)")
                       .at(0);
  evidence.behind = number_of(row.at(0));
  evidence.paused = row.at(1) == "t";
  evidence.streams = row.at(2) == "t";
  if (look.depth == EvidenceDepth::kStatus || evidence.behind < kBehindEnough) return evidence;
  const auto began = std::chrono::steady_clock::now();
  const std::uint64_t first = position();
  std::map<std::string, unsigned> waits;
  for (unsigned i = 0; i < kSamples; ++i) {
    const auto seen = session.query(
        "select coalesce(wait_event_type || ': ' || wait_event, 'no wait (it computes)')"
        " from pg_stat_activity where backend_type = 'startup'");
    if (!seen.empty()) ++waits[seen[0].at(0).value_or("?")];
    check_cancelled(stop);
    std::this_thread::sleep_for(kBetweenSamples);
  }
  const Seconds taken = std::chrono::steady_clock::now() - began;
  evidence.bytes_per_second = static_cast<double>(position() - first) / taken.count();
  evidence.waits.assign(waits.begin(), waits.end());
  std::ranges::sort(evidence.waits, std::ranges::greater{},
                    &std::pair<std::string, unsigned>::second);
  return evidence;
}

}  // namespace holdfast
