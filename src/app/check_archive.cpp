// `check`, the archive: that WAL really arrives in the repository, and what keeps it from being
// useful.
#include <filesystem>
#include <thread>

#include <fmt/format.h>

#include "app/archive.h"
#include "app/check_parts.h"
#include "app/dropped.h"
#include "app/open.h"
#include "app/settings.h"
#include "backup/archived_wal.h"
#include "backup/preflight.h"
#include "core/cancellation.h"
#include "core/text.h"
#include "postgres/data_files.h"
#include "repository/wal_compare.h"
#include "repository/wal_file.h"

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

void check_settings(CheckFindings& findings, Session& session, const Config& config) {
  for (const PostgresSetting& setting : archive_settings(session, config)) {
    if (setting.fits) continue;
    findings.add({setting.name, FindingLevel::kWarning,
                  fmt::format("{}: it is {}", setting.without,
                              setting.current.empty() ? "not set" : setting.current),
                  fmt::format("Set it to: {}", setting.wanted)});
  }
}

// PostgreSQL 17 keeps a summary of WAL from which an incremental backup learns what changed.
void check_summaries(CheckFindings& findings, Session& session) {
  const auto rows =
      session.query("select setting from pg_catalog.pg_settings where name = 'summarize_wal'");
  if (rows.empty() || rows[0].at(0) != "off") return;
  findings.add({"summarize_wal", FindingLevel::kWarning, "it is off",
                "Set summarize_wal = on: it costs little, and incremental backups, of Holdfast and "
                "of pg_basebackup, then read only what changed."});
}

// Which of the repositories that hold WAL it is.
std::size_t rank_of(const Config& config, const std::string& repository) {
  std::size_t rank = 0;
  for (const RepositoryConfig& each : config.repositories) {
    if (each.name == repository) break;
    rank += each.wal ? 1 : 0;
  }
  return rank;
}

struct Arrival {
  const CheckedRepository& in;
  WalPlace place;
  bool must = true;  // archive-push waits for it; others are brought up to date afterwards
};

std::string lag_of(const Config& config, const std::string& repository) {
  for (const RepositoryLag& lag : repositories_behind(config)) {
    if (lag.repository == repository) return describe(lag);
  }
  return {};
}

// The helper takes note of what it copied a moment after the copy can be seen.
std::string lag_that_stays(const Config& config, const std::string& repository,
                           const std::stop_token& stop) {
  constexpr std::chrono::seconds kNotedWithin{5};
  const auto until = std::chrono::steady_clock::now() + kNotedWithin;
  std::string lag = lag_of(config, repository);
  while (!lag.empty() && std::chrono::steady_clock::now() < until) {
    check_cancelled(stop);
    std::this_thread::sleep_for(kPause);
    lag = lag_of(config, repository);
  }
  return lag;
}

void report_not_arrived(CheckFindings& findings, Session& session, const Config& config,
                        const Arrival& arrival, const std::string& segment) {
  const std::string lag = arrival.must ? "" : lag_of(config, arrival.in.config.name);
  const std::string failure = arrival.must ? last_archiver_failure(session) : lag;
  findings.add(
      {"WAL archive", arrival.must ? FindingLevel::kFailed : FindingLevel::kWarning,
       fmt::format("segment {} did not arrive in {} within {}{}{}", segment,
                   arrival.in.repository->store().describe(), human_duration(config.wal.timeout),
                   failure.empty() ? "" : "; ", failure),
       arrival.must
           ? "PostgreSQL's log shows what archive_command says. 'holdfast init' prints the "
             "command."
           : "archive-push's helper brings it up to date by itself; what keeps it from "
             "that stands in wal/push-helper.log in the state directory."});
}

void await_arrival(CheckFindings& findings, Session& session, const Config& config,
                   const Arrival& arrival, SegmentName segment, const std::stop_token& stop) {
  const Repository& repository = *arrival.in.repository;
  const WalSegmentSize size = session.server().wal_segment_size;
  const auto began = std::chrono::steady_clock::now();
  const std::string object = names::wal_segment(arrival.place, segment, size);
  if (!arrives(repository, object, config.wal.timeout, stop)) {
    return report_not_arrived(findings, session, config, arrival, to_string(segment, size));
  }
  // As a backup does: the same content, not only the same name.
  const LocalSegments local{arrival.place, size, config.postgres.data_directory + "/pg_wal"};
  const SegmentName behind{segment.timeline, segment.number + 1};
  if (const auto other =
          other_content_before(repository, local, behind, kSegmentsLookedBack, stop)) {
    findings.add({"WAL archive", FindingLevel::kFailed,
                  fmt::format("the archive has segment {} with other content than this server",
                              to_string(*other, size)),
                  "Another server wrote it, or this one was set back to an older state. If this "
                  "server is the one that goes on, run 'holdfast init --take-over'."});
    return;
  }
  const std::string lag = arrival.must ? "" : lag_that_stays(config, arrival.in.config.name, stop);
  if (!lag.empty()) {
    findings.add({"WAL archive", FindingLevel::kWarning, lag,
                  "It is being brought up to date; look again later."});
    return;
  }
  const Seconds taken = std::chrono::steady_clock::now() - began;
  findings.ok("WAL archive", fmt::format("segment {} was in the repository {} after its end",
                                         to_string(segment, size), human_duration(taken)));
}

void check_dropped(CheckFindings& findings, const Config& config, const Repository& repository,
                   const HistoryName& history, const std::stop_token& stop) {
  const auto dropped = dropped_wal(config, repository, history, stop);
  if (!dropped) return;
  const std::string what = "dropped without being stored: " + describe(dropped->last);
  if (!dropped->backup_since.empty()) {
    return findings.ok("dropped WAL",
                       fmt::format("{}; backup {} was taken since", what, dropped->backup_since));
  }
  findings.add({"dropped WAL", FindingLevel::kFailed, what,
                "Nothing from there on can be recovered, until a backup was taken: 'holdfast "
                "backup'. 'holdfast window' shows the gap."});
}

// In each repository that holds WAL.
void check_arrivals(CheckFindings& findings, Session& session, const ArchiveCheck& check,
                    const std::stop_token& stop) {
  const Config& config = check.config;
  std::vector<Arrival> arrivals;
  bool others_write = false;
  for (const CheckedRepository& each : check.repositories) {
    if (!each.config.wal) continue;
    findings.look_at(each.config.name);
    findings.attempt("WAL archive", [&] {
      const HistoryRecord history =
          history_to_write(list_histories(*each.repository, config.cluster, stop), config.cluster,
                           identity_of(session.server(), host_name()),
                           read_history_binding(config.postgres.data_directory));
      check_dropped(findings, config, *each.repository, history.name, stop);
      const std::size_t rank = rank_of(config, each.config.name);
      // Only the first gets WAL in the order in which it is archived.
      if (rank == 0 &&
          !check_other_writers(
              findings, {*each.repository, history, config.cluster, session.timeline()}, stop)) {
        others_write = true;
      }
      const bool must = rank < config.wal.acknowledge;
      arrivals.push_back({each, {config.cluster, history.name}, must});
    });
  }
  if (others_write || arrivals.empty()) return;
  findings.look_at("");
  const SegmentName segment = end_segment(session);
  for (const Arrival& arrival : arrivals) {
    findings.look_at(arrival.in.config.name);
    findings.attempt("WAL archive",
                     [&] { await_arrival(findings, session, config, arrival, segment, stop); });
  }
  findings.look_at("");
}

// Its segments come to the standby's pg_wal too, so that the content can be compared.
void check_primarys_archive(CheckFindings& findings, const ArchiveCheck& check,
                            const std::stop_token& stop) {
  const std::string& connection = check.config.postgres.primary_connection;
  if (connection.empty()) {
    findings.add({"WAL archive", FindingLevel::kWarning,
                  "not tried: the server is a standby, and its primary archives",
                  "Set postgres.primary_connection, or run 'holdfast check' on the primary."});
    return;
  }
  Session primary = Session::connect(connection, stop);
  if (!primary.in_recovery()) check_arrivals(findings, primary, check, stop);
}

}  // namespace

void check_archive(CheckFindings& findings, Session& session, const ArchiveCheck& check,
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
    check_primarys_archive(findings, check, stop);
    return;
  }
  if (const std::string failure = last_archiver_failure(session); !failure.empty()) {
    findings.add({"archiver", FindingLevel::kFailed, failure,
                  "PostgreSQL's log shows what archive_command says; it tries again by itself."});
  }
  check_arrivals(findings, session, check, stop);
}

}  // namespace holdfast
