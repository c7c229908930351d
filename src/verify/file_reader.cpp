#include "verify/file_reader.h"

#include <algorithm>

#include "core/text.h"

namespace holdfast {
namespace {

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

std::uint64_t cat_file(const Repository& repository, const CatalogueEntry& backup,
                       const CatRequest& request, const FileReader::Sink& sink, StandIns* stand_ins,
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
  FileReader(manifest, chunks, page_hasher_of(repository, manifest.root()), stand_ins)
      .read(file, {request.offset, length}, sink, stop);
  return length;
}

}  // namespace holdfast
