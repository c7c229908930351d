#pragma once
// Whether the archive has what a WAL file on this machine holds. A name proves nothing: after a
// server was set back, another line's segment stands under it.
// Errors: kHost where the file cannot be read, those of the store. Threads: any. Memory: one piece
// for each segment that is looked at.

#include <filesystem>
#include <optional>
#include <set>
#include <stop_token>
#include <string>

#include "repository/wal_object.h"

namespace holdfast {

// nullopt when the file does not exist (any more).
std::optional<Checksum128> hash_of_wal_file(const std::filesystem::path& path);

enum class ArchivedAs {
  kNot,    // the object does not exist
  kSame,   // with the same content
  kOther,  // with other content
};
ArchivedAs compare_with_archive(const Repository& repository, const std::string& object,
                                const Checksum128& local, const std::stop_token& stop);

// The newest of the `count` segments before `segment` that lie in `wal_directory` and that the
// archive has with other content; nullopt when there is none. One in the archive that does not
// fit means that what follows it there is not this server's line either. One that cannot be read
// there says nothing: who needs it finds out what is wrong with it.
struct LocalSegments {
  WalPlace place;
  WalSegmentSize segment_size;
  std::filesystem::path wal_directory;
  // Those found the same are noted here, and not read again: neither side changes any more.
  std::set<SegmentName>* known_same = nullptr;
};
inline constexpr std::uint64_t kSegmentsLookedBack = 8;
std::optional<SegmentName> other_content_before(const Repository& repository,
                                                const LocalSegments& local, SegmentName segment,
                                                std::uint64_t count, const std::stop_token& stop);

}  // namespace holdfast
