#pragma once
// The WAL that a stopped server leaves behind, into the archive: before it is replaced.
//
// What it wanted archived and had not (its .ready files), and the segment that it was writing,
// which nobody archives, under its name with ".partial", as PostgreSQL does it at a promotion:
// recovery does not ask for that file, and a person who needs the last transactions finds them
// there. Errors: those of wal/push.h. Threads: any. Done again, it changes nothing.

#include <filesystem>
#include <stop_token>
#include <string>

#include "app/config.h"

namespace holdfast {

// Says how much, for people.
std::string archive_last_wal(const Config& config, const std::filesystem::path& data_directory,
                             const std::stop_token& stop);

}  // namespace holdfast
