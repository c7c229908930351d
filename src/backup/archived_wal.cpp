#include "backup/archived_wal.h"

#include <thread>

#include <fmt/format.h>

#include "core/cancellation.h"
#include "core/log.h"
#include "core/text.h"
#include "repository/thaw.h"
#include "repository/wal_compare.h"

namespace holdfast {
namespace {

constexpr std::chrono::milliseconds kFirstPause{20}, kLongestPause{500};
constexpr std::chrono::seconds kQuietWait{3};  // a busy primary ends its segment by then

[[noreturn]] void refuse_other_line(const ArchivedWal& wanted, SegmentName segment) {
  throw Error(ErrorKind::kRefused,
              fmt::format("the archive has WAL segment {} with other content than this server",
                          to_string(segment, wanted.segment_size)),
              {.object = names::wal_segment(wanted.place, segment, wanted.segment_size),
               .hint = "Another server wrote it, or this one was set back to an older state. If "
                       "this server is the one that goes on, run 'holdfast init --take-over'."});
}

bool is_archived(const Repository& repository, const ArchivedWal& wanted, SegmentName segment,
                 const std::stop_token& stop) {
  if (wanted.known_same != nullptr && wanted.known_same->contains(segment)) return true;
  const std::string object = names::wal_segment(wanted.place, segment, wanted.segment_size);
  if (!repository.store().head(object, stop)) return false;
  const auto local =
      hash_of_wal_file(wanted.wal_directory / to_string(segment, wanted.segment_size));
  if (!local) return true;
  if (compare_with_archive(repository, object, *local, stop) == ArchivedAs::kOther) {
    refuse_other_line(wanted, segment);
  }
  return true;
}

// The first segment that is not stored yet, from `next` on; `end` when all are.
std::uint64_t first_missing(const Repository& repository, const ArchivedWal& wanted,
                            std::uint64_t next, std::uint64_t end, const std::stop_token& stop) {
  while (next < end && is_archived(repository, wanted, {wanted.timeline, next}, stop)) ++next;
  return next;
}

bool cannot_switch(Session& session, const ArchivedWal& wanted) {
  return session.in_recovery() && wanted.primary_connection.empty();
}

[[noreturn]] void throw_not_archived(Session& session, const ArchivedWal& wanted,
                                     std::uint64_t missing) {
  if (cannot_switch(session, wanted)) {
    throw Error(
        ErrorKind::kPostgres,
        fmt::format("WAL segment {} of this backup was not archived within {}: a standby "
                    "cannot end a segment, and the primary did not",
                    to_string(SegmentName{wanted.timeline, missing}, wanted.segment_size),
                    human_duration(wanted.patience)),
        {.object = wanted.place.cluster,
         .hint = "Set postgres.primary_connection, so that the segment is ended there, or "
                 "take a backup that carries its own WAL: 'holdfast backup --standalone'."});
  }
  const std::string failure = last_archiver_failure(session);
  throw Error(ErrorKind::kPostgres,
              fmt::format("WAL segment {} of this backup was not archived within {}; {}",
                          to_string(SegmentName{wanted.timeline, missing}, wanted.segment_size),
                          human_duration(wanted.patience),
                          failure.empty() ? "PostgreSQL's archiver reports no failure" : failure),
              {.object = wanted.place.cluster,
               .hint = "The backup is not complete without it. Look into PostgreSQL's log for what "
                       "archive_command says ('holdfast init' prints the setting), or take a "
                       "backup that carries its own WAL: 'holdfast backup --standalone'."});
}

// The segment with the last byte is complete only once the server writes the next one.
void switch_segment(Session& session, const ArchivedWal& wanted, const std::stop_token& stop) {
  if (!session.in_recovery()) return;             // the end of backup mode switched already
  if (wanted.primary_connection.empty()) return;  // a busy primary fills the segment by itself
  Session primary = Session::connect(wanted.primary_connection, stop);
  primary.switch_wal();
}

}  // namespace

void require_line_of_archive(const Repository& repository, const ArchivedWal& wanted,
                             const std::stop_token& stop) {
  const LocalSegments local{.place = wanted.place,
                            .segment_size = wanted.segment_size,
                            .wal_directory = wanted.wal_directory,
                            .known_same = wanted.known_same};
  const SegmentName first{wanted.timeline, wanted.start.value / wanted.segment_size.bytes};
  try {
    if (const auto other =
            other_content_before(repository, local, first, kSegmentsLookedBack, stop)) {
      refuse_other_line(wanted, *other);
    }
  } catch (const Error& error) {
    if (!is_about_frozen(repository, error, stop)) throw;
    throw Error(ErrorKind::kRefused,
                "archived WAL is frozen: whether this server wrote it cannot be told",
                {.object = error.object(),
                 .hint = "Recovery takes archived WAL before what a backup carries. Let "
                         "storage_class.wal be a class that can be read at once, or bring the "
                         "newest segments back with the store's own means, and repeat."});
  }
}

void await_archived_wal(const Repository& repository, Session& session, const ArchivedWal& wanted,
                        Progress& progress, const std::stop_token& stop) {
  switch_segment(session, wanted, stop);
  const std::uint64_t end = (wanted.stop.value - 1) / wanted.segment_size.bytes + 1;
  std::uint64_t next = wanted.start.value / wanted.segment_size.bytes;
  require_line_of_archive(repository, wanted, stop);
  const auto began = std::chrono::steady_clock::now();
  auto last_progress = began;
  auto pause = kFirstPause;
  bool on_others = cannot_switch(session, wanted);  // and not yet said
  progress.note("waiting until its WAL is archived");
  for (;;) {
    const std::uint64_t missing = first_missing(repository, wanted, next, end, stop);
    if (missing == end) return;
    const auto now = std::chrono::steady_clock::now();
    if (missing != next) {
      next = missing;
      last_progress = now;
      pause = kFirstPause;
    } else if (now - last_progress > wanted.patience) {
      throw_not_archived(session, wanted, missing);
    }
    if (on_others && now - began > kQuietWait) {
      log_warning(
          "this standby waits until its primary ends a WAL segment; with "
          "postgres.primary_connection set, a backup ends it there");
      on_others = false;
    }
    check_cancelled(stop);
    std::this_thread::sleep_for(pause);
    pause = std::min(kLongestPause, pause * 2);
  }
}

std::string last_archiver_failure(Session& session) {
  const auto rows = session.query(
      "select last_failed_wal, last_failed_time::text from pg_catalog.pg_stat_archiver "
      "where last_failed_time is not null and "
      "(last_archived_time is null or last_failed_time > last_archived_time)");
  if (rows.empty()) return {};
  return fmt::format("PostgreSQL's archiver failed on {} at {}", rows[0].at(0).value_or("?"),
                     rows[0].at(1).value_or("?"));
}

bool archives_wal(Session& session) {
  // archive_library came with 15.
  const auto rows = session.query(
      "select count(*) filter (where name = 'archive_mode' and setting <> 'off'), "
      "count(*) filter (where name in ('archive_command', 'archive_library') and "
      "setting not in ('', '(disabled)')) from pg_catalog.pg_settings");
  return rows.at(0).at(0) != "0" && rows.at(0).at(1) != "0";
}

}  // namespace holdfast
