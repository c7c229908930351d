#pragma once
// The manifest of a backup: everything that restore, verify and random reads need, besides the
// packs that it names (invariant 3).
//
// Three levels. The root, one object, holds the facts about the backup, the list of packs, and for
// each of two sections the index of its file pages. A file page holds the entries of some files in
// path order. An entry holds the block map of a small file itself, and for a larger one the
// addresses of its map pages, each covering 64 MiB of the file. File pages and map pages are sealed
// chunks in map packs.
//
// Sections: `kData` is what was read while the server went on writing; `kFinal` what was read
// afterwards: configuration from outside the data directory, global/pg_control, backup_label,
// tablespace_map, and the WAL of a standalone backup. Paths are relative to the data directory,
// tablespaces appear as pg_tblspc/<oid>/…; a section is sorted by path_before().
//
// Memory: writer and reader hold one file page and the root (about 90 bytes per file page of some
// thousand files), never all entries.
// Threads: one at a time, except where said.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "repository/backup_info.h"
#include "repository/block_map.h"
#include "repository/chunk_reader.h"
#include "repository/pack_writer.h"
#include "seal/hash.h"

namespace holdfast {

enum class FileType : std::uint8_t { kFolder = 0, kRegular = 1, kSymlink = 2 };

// The map of one slice of a large file, and the packs that it names: so what a backup needs is told
// from its file pages alone, and a slice that did not change is carried on unread.
struct MapPage {
  ChunkAddress address;
  std::vector<PackIndex> packs;     // each once, in the order of the map
  std::uint32_t stored_blocks = 0;  // of the map, not zero
  bool operator==(const MapPage&) const = default;
};

struct FileEntry {
  std::string path;
  FileType type = FileType::kRegular;
  std::uint32_t mode = 0;        // permission bits
  std::uint32_t owner = 0;       // index in BackupInfo::owners
  std::int64_t modified_ns = 0;  // since 1970, as the file system had it
  std::uint64_t size = 0;
  std::string link_target;  // of a symbolic link
  // Exactly one of these two describes the content of a regular file that is not empty.
  std::optional<BlockMap> map;
  std::vector<MapPage> map_pages;
};

// Path order: byte order, with '/' before every other character, so that a folder is followed
// directly by what is in it.
bool path_before(std::string_view a, std::string_view b);

enum class Section : std::uint8_t { kData = 0, kFinal = 1 };
inline constexpr std::size_t kSections = 2;

struct FilePageRef {
  std::string first_path;
  std::uint32_t entries = 0;
  ChunkAddress address;
};

struct CitedPack {
  PackIndex pack = 0;
  std::uint32_t bytes = 0;  // size of the pack object
};

struct ManifestRoot {
  BackupInfo info;
  std::vector<CitedPack> packs;
  std::vector<FilePageRef> pages[kSections];
  // What its block hashes were made with, where that is not the repository's own hash key: of a
  // copy, and of what was built on one (BackupInfo::page_hash_key names the key).
  std::optional<Secret> hash_key = {};
};
Bytes encode_manifest_root(const ManifestRoot& root, const PackRegistry& registry);
ManifestRoot decode_manifest_root(ByteView bytes, PackRegistry& registry);

// Where sealed map pages and file pages go. Both seal() and seal_map() may be called from several
// threads.
class MapSink {
 public:
  MapSink(PackWriter& writer, PackRegistry& registry, const BackupName& backup)
      : writer_(writer), registry_(registry), backup_(backup) {}
  ChunkAddress seal(ByteView plain);
  MapPage seal_map(const BlockMap& map);
  PackRegistry& registry() { return registry_; }

 private:
  PackWriter& writer_;
  PackRegistry& registry_;
  const BackupName& backup_;
};

// Whether the map of a file with a single slice stays in the file's entry.
bool fits_in_entry(const BlockMap& map);

// A file page that is stored already, by the hash of its plain bytes.
struct KnownFilePage {
  Sha256 hash{};
  ChunkAddress address;
};

// Takes the entries of one section in path order and writes file pages.
class SectionWriter {
 public:
  explicit SectionWriter(MapSink& sink);
  // A page with exactly these bytes is not written again, if it comes up at the next flush or soon.
  void offer(const KnownFilePage& page);
  void add(const FileEntry& entry);
  std::vector<FilePageRef> finish();
  // Packs that its entries and pages name; complete after finish().
  const std::set<PackIndex>& cited() const { return cited_; }

 private:
  void flush();
  void cite(const FileEntry& entry);
  ChunkAddress store(ByteView page);
  MapSink& sink_;
  std::map<Sha256, ChunkAddress> known_;
  std::set<PackIndex> cited_;
  std::optional<PackTableEncoder> table_;
  Encoder body_;
  std::string first_path_, last_path_;
  std::uint32_t entries_ = 0;
  std::vector<FilePageRef> pages_;
};

// Reads a committed backup's manifest. Every page that it returns has been authenticated.
class Manifest {
 public:
  // `registry` must outlive it and be the chunk reader's.
  Manifest(ManifestRoot root, ChunkReader& chunks) : root_(std::move(root)), chunks_(chunks) {}

  const BackupInfo& info() const { return root_.info; }
  const ManifestRoot& root() const { return root_; }

  // Every entry of a section in path order.
  void for_each(Section section, const std::function<void(const FileEntry&)>& visit,
                const std::stop_token& stop);
  // The entry of one path, from either section; reads one file page.
  std::optional<FileEntry> find(std::string_view path, const std::stop_token& stop);
  // The map of slice `slice` (64 MiB each) of a file; reads at most one map page.
  BlockMap slice_map(const FileEntry& entry, std::size_t slice, const std::stop_token& stop);
  // The plain bytes of one file page, and its entries; an error names the pack that it lies in.
  Bytes read_page_bytes(const FilePageRef& page, const std::stop_token& stop);
  std::vector<FileEntry> read_page(const FilePageRef& page, const std::stop_token& stop);
  // The same from the page's plain bytes, fetched by other means. Thread-safe.
  std::vector<FileEntry> decode_page(const FilePageRef& page, ByteView plain);

 private:
  ManifestRoot root_;
  ChunkReader& chunks_;
};

// Entries of one section in path order, for who asks for one path after the other in that order.
// Memory: one file page.
class ManifestCursor {
 public:
  // `page_read` is told of every page that was read.
  ManifestCursor(Manifest& manifest, Section section, std::stop_token stop,
                 std::function<void(const KnownFilePage&)> page_read = {});
  // The entry of `path`; nullopt when the section has none. Paths ascend from call to call.
  std::optional<FileEntry> find(std::string_view path);

 private:
  void read_page_for(std::string_view path);
  Manifest& manifest_;
  const std::vector<FilePageRef>& pages_;
  const std::stop_token stop_;
  const std::function<void(const KnownFilePage&)> page_read_;
  std::size_t next_page_ = 0;
  std::vector<FileEntry> entries_;
  std::size_t at_ = 0;  // the first entry that may still be asked for
};

std::size_t slice_count(const FileEntry& entry);

// Decodes the map page of a slice and checks that it fits the file.
BlockMap decode_slice_map(const FileEntry& entry, std::size_t slice, ByteView page,
                          PackRegistry& registry);

}  // namespace holdfast
