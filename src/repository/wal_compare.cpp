#include "repository/wal_compare.h"

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "core/parallel.h"
#include "repository/catalogue.h"
#include "system/files.h"

namespace holdfast {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{256} << 10U;

ArchivedAs compare_if_readable(const Repository& repository, const std::string& object,
                               const Checksum128& local, const std::stop_token& stop) {
  try {
    return compare_with_archive(repository, object, local, stop);
  } catch (const Error& error) {
    if (!condemns_one_object(error.kind())) throw;
    return ArchivedAs::kNot;
  }
}

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
  count = std::min(count, std::max<std::uint64_t>(segment.number, 1) - 1);
  struct Found {
    bool here = true;
    ArchivedAs archived = ArchivedAs::kSame;
  };
  std::vector<Found> found(count);  // the newest first
  const auto name_of = [&](std::size_t i) {
    return SegmentName{segment.timeline, segment.number - 1 - i};
  };
  parallel_for(count, kSegmentsLookedBack, stop, [&](std::size_t i, const std::stop_token& inner) {
    const SegmentName name = name_of(i);
    if (local.known_same != nullptr && local.known_same->contains(name)) return;
    const auto hash = hash_of_wal_file(local.wal_directory / to_string(name, local.segment_size));
    found[i].here = hash.has_value();
    if (!hash) return;
    const std::string object = names::wal_segment(local.place, name, local.segment_size);
    found[i].archived = compare_if_readable(repository, object, *hash, inner);
  });
  for (std::size_t i = 0; i < count && found[i].here; ++i) {  // older ones are gone too
    if (found[i].archived == ArchivedAs::kOther) return name_of(i);
    if (found[i].archived == ArchivedAs::kSame && local.known_same != nullptr) {
      local.known_same->insert(name_of(i));
    }
  }
  return std::nullopt;
}

}  // namespace holdfast
