#pragma once
// Writes the manifest of a standalone copy: the source's maps with the packs under their new names,
// and the WAL that the backup needs in the final section, where it does not carry it already.
//
// Data is not touched here: its packs were copied whole, so offsets stay, and only the tables of
// packs in file pages and map pages change. Block hashes are carried on as they are.
// Names: what is written here takes numbers behind all that lie in the backup's folder, so what an
// earlier attempt left is in nobody's way. kRefused when another copy took the same numbers at the
// same moment: write again.
// Memory: two map packs, two packs for WAL, and what fetch_chunks() needs.
// Errors: kDamage of the source, also when its archive lacks WAL; those of the stores.

#include <map>
#include <stop_token>
#include <vector>

#include "copy/carried_files.h"
#include "copy/copy.h"
#include "copy/pack_copier.h"
#include "repository/wal_search.h"

namespace holdfast {

// How the packs of a standalone copy are named: the backup's own data packs keep their numbers,
// those of others follow behind the highest of them, in the manifest's order. So every attempt
// gives a pack the same name. Map packs are not among them.
std::vector<PackMove> standalone_moves(const ManifestRoot& root, const PackRegistry& registry);

class StandaloneWriter {
 public:
  StandaloneWriter(const CopySides& sides, Manifest& source, ChunkReader& chunks,
                   const std::vector<PackMove>& moves, const CopyOptions& options,
                   Progress& progress);

  // The root of the copy, its facts included; every pack that it names is stored when this returns.
  // `line`: that of the backup's history in the source.
  ManifestRoot write(const WalLine& line, const std::stop_token& stop);
  // Of the root.
  const PackRegistry& registry() const { return registry_; }

 private:
  struct Slice {
    std::size_t entry = 0, index = 0;
  };
  void map_packs(const ManifestRoot& root);
  void open_writers(const std::stop_token& stop);
  std::vector<FilePageRef> rewrite_data(const std::stop_token& stop);
  std::vector<FilePageRef> rewrite_final(const WalLine& line, ManifestRoot& root,
                                         const std::stop_token& stop);
  void rewrite(std::vector<FileEntry>& entries, const std::stop_token& stop);
  void rewrite_slices(std::vector<FileEntry>& entries, const std::vector<Slice>& slices,
                      const std::stop_token& stop);
  void point_to_copies(BlockMap& map) const;
  void carry_wal(const WalLine& line, std::vector<FileEntry>& entries, BackupInfo& info,
                 const std::stop_token& stop);
  FileEntry carry(const WalLine& line, const WalFileName& file, const CarriedFile::Shape& shape,
                  BackupInfo& info, const std::stop_token& stop);
  std::size_t fetch_threads() const;
  void cite(ManifestRoot& root);

  const CopySides& sides_;
  Manifest& source_;
  ChunkReader& chunks_;
  const std::vector<PackMove>& moves_;
  const CopyOptions& options_;
  Progress& progress_;
  const BackupName name_;
  const PageHasher hasher_;

  PackRegistry registry_;
  std::map<PackIndex, PackIndex> copies_;  // of data packs: in the source's registry → in ours
  std::vector<CitedPack> moved_;
  std::unique_ptr<PackWriter> data_packs_, map_packs_;
  std::unique_ptr<MapSink> maps_;
};

}  // namespace holdfast
