#include "wal/look_back.h"

#include "wal/file_version.h"

namespace holdfast {

std::optional<SegmentName> other_line_before(const Repository& repository,
                                             const LocalSegments& local, SegmentName segment,
                                             const std::stop_token& stop) {
  for (std::uint64_t back = 0; back < kSegmentsLookedBack && segment.number > 1; ++back) {
    --segment.number;
    const auto path = local.wal_directory / to_string(segment, local.segment_size);
    const auto version = version_of(path);
    const auto hash = version ? hash_of_wal_file(path) : std::nullopt;
    if (!hash) return std::nullopt;  // older ones are gone too
    const std::string object = names::wal_segment(local.place, segment, local.segment_size);
    switch (compare_with_archive(repository, object, *hash, stop)) {
      case ArchivedAs::kSame:
        return std::nullopt;
      case ArchivedAs::kOther:
        if (version_of(path) == version) return segment;
        return std::nullopt;  // it was being used again
      case ArchivedAs::kNot:
        break;
    }
  }
  return std::nullopt;
}

}  // namespace holdfast
