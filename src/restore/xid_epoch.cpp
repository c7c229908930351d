#include "restore/xid_epoch.h"

#include "postgres/control_file.h"
#include "repository/file_reader.h"

namespace holdfast {

std::uint64_t nearest_full_xid(std::uint64_t next, std::uint32_t xid) {
  const auto away = static_cast<std::int32_t>(xid - static_cast<std::uint32_t>(next));
  return next + static_cast<std::uint64_t>(std::int64_t{away});
}

std::optional<std::uint64_t> full_xid(const Repository& repository, const CatalogueEntry& backup,
                                      std::uint32_t xid, const std::stop_token& stop) {
  try {
    ChunkReader chunks(repository.store(), repository.keys(), backup.name.cluster);
    Manifest manifest(read_manifest(repository, backup.outcome, chunks.registry(), stop), chunks);
    const auto file = manifest.find(kControlFilePath, stop);
    if (!file || file->size > kControlFileBytes) return std::nullopt;
    Bytes content;
    FileReader(manifest, chunks, page_hasher_of(repository, manifest.root()))
        .read(
            *file, {0, file->size},
            [&](ByteView piece) { content.insert(content.end(), piece.begin(), piece.end()); },
            stop);
    return nearest_full_xid(parse_control_file(content).checkpoint_next_xid, xid);
  } catch (const Error& error) {
    if (!condemns_one_object(error.kind())) throw;
    return std::nullopt;
  }
}

}  // namespace holdfast
