#include "verify/file_reader.h"

#include <algorithm>

#include "core/cancellation.h"
#include "core/text.h"

namespace holdfast {
namespace {

constexpr std::size_t kZerosBytes = std::size_t{64} << 10U;

void write_zeros(std::uint64_t count, const FileReader::Sink& sink, const std::stop_token& stop) {
  static const Bytes zeros(kZerosBytes);
  while (count > 0) {
    check_cancelled(stop);
    const std::uint64_t piece = std::min<std::uint64_t>(count, zeros.size());
    sink(ByteView(zeros).first(piece));
    count -= piece;
  }
}

FileRange overlap(FileRange a, FileRange b) {
  const std::uint64_t begin = std::max(a.offset, b.offset);
  const std::uint64_t end = std::min(a.offset + a.length, b.offset + b.length);
  return {begin, end > begin ? end - begin : 0};
}

// The paths of the page that `wanted` would stand in, for "did you mean".
std::optional<std::string> nearest_path(Manifest& manifest, const std::string& wanted,
                                        const std::stop_token& stop) {
  std::vector<std::string> paths;
  for (const auto& pages : manifest.root().pages) {
    const auto after =
        std::ranges::upper_bound(pages, wanted, path_before, &FilePageRef::first_path);
    if (pages.empty()) continue;
    const auto page = after == pages.begin() ? after : std::prev(after);
    for (const FileEntry& entry : manifest.read_page(*page, stop)) {
      if (entry.type == FileType::kRegular) paths.push_back(entry.path);
    }
  }
  return nearest(wanted, paths);
}

FileEntry find_file(Manifest& manifest, const std::string& path, const std::stop_token& stop) {
  auto entry = manifest.find(path, stop);
  if (!entry) {
    const auto near = nearest_path(manifest, path, stop);
    throw Error(ErrorKind::kNotFound, "the backup has no such file",
                {.object = path,
                 .hint = near ? fmt::format("Did you mean {}?", *near)
                              : "Paths are relative to the data directory; files of tablespaces "
                                "are under pg_tblspc/<oid>/."});
  }
  if (entry->type == FileType::kFolder) {
    throw Error(ErrorKind::kUsage, "this is a folder", {.object = path});
  }
  if (entry->type == FileType::kSymlink) {
    throw Error(ErrorKind::kUsage, "this is a symbolic link to " + entry->link_target,
                {.object = path});
  }
  return std::move(*entry);
}

}  // namespace

void FileReader::read(const FileEntry& file, FileRange range, const Sink& sink,
                      const std::stop_token& stop) {
  HF_INVARIANT(range.offset <= file.size && range.length <= file.size - range.offset);
  if (range.length == 0) return;
  const std::uint64_t last = (range.offset + range.length - 1) / kBytesPerMapPage;
  for (std::uint64_t slice = range.offset / kBytesPerMapPage; slice <= last; ++slice) {
    read_slice(file, slice, range, sink, stop);
  }
}

void FileReader::read_slice(const FileEntry& file, std::size_t slice, FileRange range,
                            const Sink& sink, const std::stop_token& stop) {
  const BlockMap map = manifest_.slice_map(file, slice, stop);
  std::uint64_t begin = slice * kBytesPerMapPage;
  std::size_t hash = 0;
  for (const Extent& extent : map.extents) {
    const std::uint64_t length = std::min(file.size - begin, extent.blocks * kBlockBytes);
    const FileRange part = overlap({begin, length}, range);
    if (part.length > 0) {
      if (extent.zero()) {
        write_zeros(part.length, sink, stop);
      } else {
        read_extent({file, map, extent, begin, hash}, part, sink, stop);
      }
    }
    if (!extent.zero()) hash += extent.blocks;
    begin += length;
  }
}

void FileReader::read_extent(const Place& place, FileRange part, const Sink& sink,
                             const std::stop_token& stop) {
  if (!(place.extent.chunk == last_)) {
    last_ = {};
    plain_ = chunks_.read(place.extent.chunk, stop);
    last_ = place.extent.chunk;
  }
  const std::uint64_t length =
      std::min(place.file.size - place.begin, place.extent.blocks * kBlockBytes);
  if (plain_.size() < place.extent.offset_in_chunk + length) {
    throw Error(ErrorKind::kDamage, "a chunk is shorter than the manifest says",
                {.object = chunks_.pack_name(place.extent.chunk.pack)});
  }
  const ByteView extent = ByteView(plain_).subspan(place.extent.offset_in_chunk, length);
  check_blocks(place, extent, part);
  sink(extent.subspan(part.offset - place.begin, part.length));
}

void FileReader::check_blocks(const Place& place, ByteView extent, FileRange part) const {
  const std::uint64_t first = (part.offset - place.begin) / kBlockBytes;
  const std::uint64_t last = (part.offset + part.length - 1 - place.begin) / kBlockBytes;
  for (std::uint64_t i = first; i <= last; ++i) {
    const std::uint64_t at = i * kBlockBytes;
    const ByteView block = extent.subspan(at, std::min(kBlockBytes, extent.size() - at));
    if (hasher_(block) != place.map.hashes.at(place.first_hash + i)) {
      throw Error(ErrorKind::kDamage,
                  fmt::format("block {} of {} is not what was backed up",
                              place.begin / kBlockBytes + i, place.file.path),
                  {.object = chunks_.pack_name(place.extent.chunk.pack)});
    }
  }
}

std::uint64_t cat_file(const Repository& repository, const CatalogueEntry& backup,
                       const CatRequest& request, const FileReader::Sink& sink,
                       const std::stop_token& stop) {
  ChunkReader chunks(repository.store(), repository.keys(), backup.name.cluster);
  Manifest manifest(read_manifest(repository, backup.outcome, chunks.registry(), stop), chunks);
  const FileEntry file = find_file(manifest, request.path, stop);
  if (request.offset > file.size) {
    throw Error(ErrorKind::kUsage,
                fmt::format("the offset {} is behind the end of the file, which is {} bytes long",
                            request.offset, file.size),
                {.object = request.path});
  }
  const std::uint64_t rest = file.size - request.offset;
  const std::uint64_t length = std::min(rest, request.length.value_or(rest));
  FileReader(manifest, chunks, page_hasher_of(repository, manifest.root()))
      .read(file, {request.offset, length}, sink, stop);
  return length;
}

}  // namespace holdfast
