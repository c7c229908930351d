// `check`, the archive: that WAL really arrives in the repository, and what keeps it from being
// useful.
#include <filesystem>
#include <thread>

#include <fmt/format.h>

#include "app/check_parts.h"
#include "app/open.h"
#include "app/settings.h"
#include "backup/archived_wal.h"
#include "backup/preflight.h"
#include "core/cancellation.h"
#include "core/text.h"
#include "postgres/data_files.h"
#include "repository/wal_compare.h"
#include "repository/wal_file.h"
#include "repository/wal_search.h"

namespace holdfast {
namespace {

constexpr std::chrono::milliseconds kPause{50};

// Writes something into the current segment, ends it, and returns its name.
SegmentName end_segment(Session& session) {
  session.query("select pg_catalog.pg_create_restore_point('holdfast check')");
  const Lsn end = session.switch_wal();
  return segment_of(session.timeline(), Lsn{end.value - 1}, session.server().wal_segment_size);
}

bool arrives(const Repository& repository, const std::string& object,
             std::chrono::milliseconds patience, const std::stop_token& stop) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!repository.store().head(object, stop)) {
    if (std::chrono::steady_clock::now() > until) return false;
    check_cancelled(stop);
    std::this_thread::sleep_for(kPause);
  }
  return true;
}

void check_settings(Findings& findings, Session& session, const Config& config) {
  for (const PostgresSetting& setting : archive_settings(session, config)) {
    if (setting.fits) continue;
    findings.add({setting.name, FindingLevel::kWarning,
                  fmt::format("{}: it is {}", setting.without,
                              setting.current.empty() ? "not set" : setting.current),
                  fmt::format("Set it to: {}", setting.wanted)});
  }
}

// PostgreSQL 17 keeps a summary of WAL from which an incremental backup learns what changed.
void check_summaries(Findings& findings, Session& session) {
  const auto rows =
      session.query("select setting from pg_catalog.pg_settings where name = 'summarize_wal'");
  if (rows.empty() || rows[0].at(0) != "off") return;
  findings.add({"summarize_wal", FindingLevel::kWarning, "it is off",
                "Set summarize_wal = on: it costs little, and incremental backups (of Holdfast's "
                "next release, and pg_basebackup's) then read only what changed."});
}

// Invariant 6: nobody is kept out of a history by guessing, so two servers that go on with one,
// each on a timeline of its own, are an alarm.
bool check_other_writers(Findings& findings, Session& session, const ArchiveCheck& check,
                         const WalPlace& place, const std::stop_token& stop) {
  const TimelineId ours = session.timeline();
  const auto stored = list_timelines(check.repository, place, stop);
  if (stored.empty() || stored.back() <= ours) return true;
  findings.add(
      {"other writers", FindingLevel::kFailed,
       fmt::format("this server writes timeline {}, but the archive has WAL of timeline "
                   "{}: another server was promoted and goes on with this cluster",
                   ours.value, stored.back().value),
       "Only one of them can be the cluster. Stop the other, or make it a standby; if this "
       "one is a copy that goes on by itself, run 'holdfast init --take-over' here."});
  return false;
}

void check_arrival(Findings& findings, Session& session, const ArchiveCheck& check,
                   const std::stop_token& stop) {
  const Config& config = check.config;
  const HistoryRecord history =
      history_to_write(list_histories(check.repository, config.cluster, stop), config.cluster,
                       identity_of(session.server(), host_name()),
                       read_history_binding(config.postgres.data_directory));
  const WalPlace place{config.cluster, history.name};
  if (!check_other_writers(findings, session, check, place, stop)) return;
  const auto began = std::chrono::steady_clock::now();
  const SegmentName segment = end_segment(session);
  const WalSegmentSize size = session.server().wal_segment_size;
  const std::string object = names::wal_segment(place, segment, size);
  if (arrives(check.repository, object, config.wal.timeout, stop)) {
    // As a backup does: the same content, not only the same name.
    const LocalSegments local{place, size, config.postgres.data_directory + "/pg_wal"};
    const SegmentName behind{segment.timeline, segment.number + 1};
    if (const auto other =
            other_content_before(check.repository, local, behind, kSegmentsLookedBack, stop)) {
      findings.add({"WAL archive", FindingLevel::kFailed,
                    fmt::format("the archive has segment {} with other content than this server",
                                to_string(*other, size)),
                    "Another server wrote it, or this one was set back to an older state. If this "
                    "server is the one that goes on, run 'holdfast init --take-over'."});
      return;
    }
    const Seconds taken = std::chrono::steady_clock::now() - began;
    findings.ok("WAL archive", fmt::format("segment {} was in the repository {} after its end",
                                           to_string(segment, size), human_duration(taken)));
    return;
  }
  const std::string failure = last_archiver_failure(session);
  findings.add(
      {"WAL archive", FindingLevel::kFailed,
       fmt::format("segment {} did not arrive in {} within {}{}{}", to_string(segment, size),
                   check.repository.store().describe(), human_duration(config.wal.timeout),
                   failure.empty() ? "" : "; ", failure),
       "PostgreSQL's log shows what archive_command says. 'holdfast init' prints the "
       "command."});
}

}  // namespace

void check_archive(Findings& findings, Session& session, const ArchiveCheck& check,
                   const std::stop_token& stop) {
  check_settings(findings, session, check.config);
  check_summaries(findings, session);
  if (!archives_wal(session)) {
    const bool restored = std::filesystem::exists(
        std::filesystem::path(check.config.postgres.data_directory) / kRestoreMarker);
    if (restored) {
      findings.add({"WAL archive", FindingLevel::kFailed,
                    "this server was restored from a backup and archives nothing: what it writes "
                    "cannot be recovered",
                    "If it is the cluster now, run 'holdfast init --take-over', set archive_mode = "
                    "on and restart it. If it is a copy to look at, all is well."});
      return;
    }
    findings.add({"WAL archive", FindingLevel::kWarning, "the server archives no WAL",
                  "Without it every backup can be restored to its own end only. Run 'holdfast init "
                  "--apply', and restart PostgreSQL."});
    return;
  }
  require_taken_over(check.config.postgres.data_directory);
  if (session.in_recovery()) {
    findings.ok("WAL archive", "not tried on a standby: the primary archives");
    return;
  }
  if (const std::string failure = last_archiver_failure(session); !failure.empty()) {
    findings.add({"archiver", FindingLevel::kFailed, failure,
                  "PostgreSQL's log shows what archive_command says; it tries again by itself."});
  }
  check_arrival(findings, session, check, stop);
}

}  // namespace holdfast
