#pragma once
// Whether what the archive has in front of a segment is this server's WAL. A server that was set
// back, and whose segments another program acknowledged for a while (archive_command =
// '/bin/true'), comes behind the end of what another line has stored, where no name is taken: only
// the segment before tells that its next one would follow WAL that is not its own.
//
// Compared is the nearest segment before that is stored and still lies in pg_wal, of the same
// timeline and history, at most kSegmentsLookedBack (repository/wal_compare.h) before. With the
// segment directly before it stored, as usual, that is two requests.
// Guarantees: a segment is found to differ only when the very file that was hashed still stood
//   under its name afterwards: PostgreSQL renames old files and writes into them again.
// Not told: where the segments before are gone from pg_wal, or none of them is stored. In the
//   second case there is a gap in the archive, over which nothing is recovered.
// Errors: kHost, those of the store. Threads: any. Memory: one piece of a file.

#include <optional>
#include <stop_token>

#include "repository/wal_compare.h"

namespace holdfast {

// The segment before `segment` that the archive has with other content; nullopt: none.
std::optional<SegmentName> other_line_before(const Repository& repository,
                                             const LocalSegments& local, SegmentName segment,
                                             const std::stop_token& stop);

}  // namespace holdfast
