#include "repository/wal_compare.h"

#include "system/files.h"

namespace holdfast {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{256} << 10U;

}  // namespace

std::optional<Checksum128> hash_of_wal_file(const std::filesystem::path& path) {
  const auto file = open_to_read(path);
  if (!file) return std::nullopt;
  WalContentHash hash;
  Buffer piece(kPieceBytes);
  for (std::uint64_t at = 0;;) {
    const std::size_t read = read_at(file->get(), at, piece.span(), path.string());
    hash.add(piece.view().first(read));
    at += read;
    if (read < piece.size()) return hash.result();
  }
}

ArchivedAs compare_with_archive(const Repository& repository, const std::string& object,
                                const Checksum128& local, const std::stop_token& stop) {
  const auto head = read_wal_head(repository, object, stop);
  if (!head) return ArchivedAs::kNot;
  return head->identity.content == local ? ArchivedAs::kSame : ArchivedAs::kOther;
}

std::optional<SegmentName> other_content_before(const Repository& repository,
                                                const LocalSegments& local, SegmentName segment,
                                                std::uint64_t count, const std::stop_token& stop) {
  for (; count > 0 && segment.number > 1; --count) {
    --segment.number;
    const auto hash =
        hash_of_wal_file(local.wal_directory / to_string(segment, local.segment_size));
    if (!hash) return std::nullopt;  // older ones are gone too
    const std::string object = names::wal_segment(local.place, segment, local.segment_size);
    if (compare_with_archive(repository, object, *hash, stop) == ArchivedAs::kOther) return segment;
  }
  return std::nullopt;
}

}  // namespace holdfast
