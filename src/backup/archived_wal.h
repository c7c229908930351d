#pragma once
// Waits until the WAL of a backup is in the repository as archived segments (invariant 2).
//
// A primary switches WAL at the end of backup mode; for a standby the primary is asked to here,
// where a connection to it is configured. The wait ends when every segment from start
// to stop is stored; it fails, telling what PostgreSQL's archiver last said, when none arrived for
// `patience`. A segment that is still in pg_wal must be stored with the same content: after
// a server was set back, another line's stands under its name. One that is gone from there was
// archived, because PostgreSQL keeps it until then.
// Errors: kPostgres when archiving does not go on, kRefused for another line's segment, those of
// the store and the session. A backup that carries its own WAL does not wait, and is refused all
// the same where the server is not on the line that the archive holds: recovery takes WAL from
// there first.

#include <chrono>
#include <filesystem>
#include <set>
#include <stop_token>
#include <string>

#include "core/progress.h"
#include "postgres/session.h"
#include "repository/repository.h"
#include "repository/wal_file.h"

namespace holdfast {

struct ArchivedWal {
  WalPlace place;
  TimelineId timeline;
  Lsn start, stop;
  WalSegmentSize segment_size;
  std::string primary_connection;  // of a standby; may be empty
  std::filesystem::path wal_directory;
  std::chrono::milliseconds patience;
  std::set<SegmentName>* known_same = nullptr;  // as in repository/wal_compare.h
};

// kRefused when the archive has one of the newest segments before `start` with other content.
void require_line_of_archive(const Repository& repository, const ArchivedWal& wanted,
                             const std::stop_token& stop);

void await_archived_wal(const Repository& repository, Session& session, const ArchivedWal& wanted,
                        Progress& progress, const std::stop_token& stop);

// What PostgreSQL's archiver failed on, when nothing was archived since; empty otherwise.
std::string last_archiver_failure(Session& session);

// Whether the server archives at all: archive_mode is on, and with a command or library.
bool archives_wal(Session& session);

}  // namespace holdfast
