#include "repository/manifest.h"

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "seal/hash.h"

namespace holdfast {
namespace {

// A file page is closed at this size, or at a path whose hash says so: the cut then depends on the
// paths alone, and a page in which nothing changed comes out the same in the next backup.
constexpr std::size_t kFilePageBytes = std::size_t{256} << 10U;
constexpr std::uint32_t kCutOneIn = 512;

// A block map of about this many encoded bytes at most stays in the entry of its file.
constexpr std::size_t kInlineMapBytes = 1024;

[[noreturn]] void malformed(const char* why) {
  throw Error(ErrorKind::kDamage, fmt::format("malformed manifest: {}", why));
}

bool cut_after(std::string_view path) {
  const Checksum128 hash = xxh3_128(as_bytes(path));
  return load_le<std::uint32_t>(hash.data()) % kCutOneIn == 0;
}

void encode_entry(Encoder& out, const FileEntry& entry, PackTableEncoder& table) {
  out.text(entry.path);
  out.u8(static_cast<std::uint8_t>(entry.type));
  out.varint(entry.mode);
  out.varint(entry.owner);
  out.signed_varint(entry.modified_ns);
  if (entry.type == FileType::kSymlink) out.text(entry.link_target);
  if (entry.type != FileType::kRegular) return;
  out.varint(entry.size);
  if (entry.size == 0) return;
  out.u8(entry.map ? 0 : 1);
  if (entry.map) {
    encode(out, *entry.map, table);
  } else {
    for (const MapPage& page : entry.map_pages) {
      encode(out, page.address, table);
      out.varint(page.stored_blocks);
      out.varint(page.packs.size());
      for (const PackIndex pack : page.packs) out.varint(table.local(pack));
    }
  }
}

std::uint32_t number_from(Decoder& in) {
  const std::uint64_t value = in.varint();
  if (value > std::numeric_limits<std::uint32_t>::max()) malformed("a number is out of range");
  return static_cast<std::uint32_t>(value);
}

MapPage decode_map_page_ref(Decoder& in, const std::vector<PackIndex>& table) {
  MapPage page{.address = decode_chunk_address(in, table), .packs = {}};
  page.stored_blocks = number_from(in);
  if (page.stored_blocks > kBlocksPerMapPage) malformed("a map page holds more than its slice");
  page.packs.resize(in.count(1));
  for (PackIndex& pack : page.packs) {
    const std::uint64_t local = in.varint();
    if (local >= table.size()) malformed("it names a pack that is not in its table");
    pack = table[local];
  }
  return page;
}

void decode_content(Decoder& in, FileEntry& entry, const std::vector<PackIndex>& table) {
  entry.size = in.varint();
  if (entry.size == 0) return;
  if (entry.size > std::uint64_t{1} << 44U) malformed("a file is larger than 16 TiB");
  const std::uint64_t blocks = (entry.size + kBlockBytes - 1) / kBlockBytes;
  switch (in.u8()) {
    case 0:
      entry.map = decode_block_map(in, table);
      if (entry.map->blocks() != blocks) malformed("a block map does not fit its file");
      return;
    case 1: {
      const std::size_t pages = slice_count(entry);
      if (pages > in.left()) malformed("a file's map pages are missing");
      entry.map_pages.reserve(pages);
      for (std::size_t i = 0; i < pages; ++i) {
        entry.map_pages.push_back(decode_map_page_ref(in, table));
      }
      return;
    }
    default:
      malformed("an unknown form of block map");
  }
}

// A path that could leave the directory it is restored into is not one that Holdfast wrote.
void check_path(std::string_view path) {
  if (path.empty() || path.size() > 4096 || path.front() == '/' || path.back() == '/' ||
      path.find('\0') != std::string_view::npos) {
    malformed("a path has the wrong form");
  }
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, end - at);
    if (part.empty() || part == "." || part == "..") malformed("a path has the wrong form");
    at = end + 1;
  }
}

FileEntry decode_entry(Decoder& in, const std::vector<PackIndex>& table) {
  FileEntry entry;
  entry.path = in.text();
  check_path(entry.path);
  const std::uint8_t type = in.u8();
  if (type > 2) malformed("an unknown type of file");
  entry.type = FileType{type};
  entry.mode = number_from(in);
  if (entry.mode > 07777) malformed("a file mode is out of range");
  entry.owner = number_from(in);
  entry.modified_ns = in.signed_varint();
  if (entry.type == FileType::kSymlink) entry.link_target = in.text();
  if (entry.type == FileType::kRegular) decode_content(in, entry, table);
  return entry;
}

void encode_section(Encoder& out, const std::vector<FilePageRef>& pages, PackTableEncoder& table) {
  out.varint(pages.size());
  for (const FilePageRef& page : pages) {
    out.text(page.first_path);
    out.varint(page.entries);
    encode(out, page.address, table);
  }
}

std::vector<FilePageRef> decode_section(Decoder& in, const std::vector<PackIndex>& table) {
  std::vector<FilePageRef> pages(in.count(4));
  for (FilePageRef& page : pages) {
    page.first_path = in.text();
    page.entries = number_from(in);
    page.address = decode_chunk_address(in, table);
  }
  for (std::size_t i = 1; i < pages.size(); ++i) {
    if (!path_before(pages[i - 1].first_path, pages[i].first_path)) {
      malformed("its file pages are out of order");
    }
  }
  return pages;
}

}  // namespace

bool path_before(std::string_view a, std::string_view b) {
  const auto rank = [](char c) { return c == '/' ? 0 : 1 + static_cast<unsigned char>(c); };
  return std::ranges::lexicographical_compare(a, b, {}, rank, rank);
}

std::size_t slice_count(const FileEntry& entry) {
  return static_cast<std::size_t>((entry.size + kBytesPerMapPage - 1) / kBytesPerMapPage);
}

Bytes encode_manifest_root(const ManifestRoot& root, const PackRegistry& registry) {
  PackTableEncoder table(registry);
  Encoder body;
  body.text(to_json(root.info));
  body.varint(root.packs.size());
  for (const CitedPack& cited : root.packs) {
    body.varint(table.local(cited.pack));
    body.varint(cited.bytes);
  }
  for (const auto& section : root.pages) encode_section(body, section, table);
  body.u8(root.hash_key ? 1 : 0);
  if (root.hash_key) body.raw(root.hash_key->view());
  Encoder out;
  table.encode(out);
  out.raw(body.view());
  return out.take();
}

ManifestRoot decode_manifest_root(ByteView bytes, PackRegistry& registry) {
  Decoder in(bytes);
  const std::vector<PackIndex> table = decode_pack_table(in, registry);
  ManifestRoot root;
  root.info = parse_backup_info(in.text());
  root.packs.resize(in.count(2));
  for (CitedPack& cited : root.packs) {
    const std::uint64_t local = in.varint();
    if (local >= table.size()) malformed("it names a pack that is not in its table");
    cited.pack = table[local];
    cited.bytes = number_from(in);
  }
  for (auto& section : root.pages) section = decode_section(in, table);
  const std::uint8_t has_hash_key = in.u8();
  if (has_hash_key > 1) malformed("its hash key has an unknown form");
  if (has_hash_key == 1) root.hash_key.emplace(in.raw(Secret::kBytes));
  if (!in.done()) malformed("bytes are left over");
  return root;
}

ChunkAddress MapSink::seal(ByteView plain) {
  thread_local Compressor compressor({Compression::kZstd, 3});
  const Compressor::Result packed = compressor.compress(plain);
  const NewChunk chunk =
      writer_.add(static_cast<std::uint32_t>(plain.size()), packed.compression, packed.payload);
  const PackIndex pack = registry_.intern(
      {backup_.history, backup_.id, names::PackKind::kMap, chunk.pack, writer_.salt(chunk.pack)});
  return {pack, chunk.offset, chunk.sealed_length};
}

MapPage MapSink::seal_map(const BlockMap& map) {
  return {.address = seal(encode_map_page(map, registry_)),
          .packs = packs_of(map),
          .stored_blocks = static_cast<std::uint32_t>(map.hashes.size())};
}

bool fits_in_entry(const BlockMap& map) {
  // 8 bytes a hash, about 12 an extent; the exact size does not matter, only that it is small.
  return map.hashes.size() * 8 + map.extents.size() * 12 <= kInlineMapBytes;
}

SectionWriter::SectionWriter(MapSink& sink) : sink_(sink), table_(sink.registry()) {}

void SectionWriter::add(const FileEntry& entry) {
  HF_INVARIANT(last_path_.empty() || path_before(last_path_, entry.path));
  if (entries_ == 0) first_path_ = entry.path;
  encode_entry(body_, entry, *table_);
  cite(entry);
  last_path_ = entry.path;
  ++entries_;
  if (body_.size() >= kFilePageBytes || cut_after(entry.path)) flush();
}

void SectionWriter::offer(const KnownFilePage& page) {
  known_[page.hash] = page.address;
}

void SectionWriter::cite(const FileEntry& entry) {
  if (entry.map) {
    for (const PackIndex pack : packs_of(*entry.map)) cited_.insert(pack);
  }
  for (const MapPage& page : entry.map_pages) {
    cited_.insert(page.address.pack);
    cited_.insert(page.packs.begin(), page.packs.end());
  }
}

ChunkAddress SectionWriter::store(ByteView page) {
  if (known_.empty()) return sink_.seal(page);
  const auto known = known_.find(sha256(page));
  return known == known_.end() ? sink_.seal(page) : known->second;
}

void SectionWriter::flush() {
  if (entries_ == 0) return;
  Encoder page;
  table_->encode(page);
  page.varint(entries_);
  page.raw(body_.view());
  pages_.push_back({first_path_, entries_, store(page.view())});
  cited_.insert(pages_.back().address.pack);
  table_.emplace(sink_.registry());
  body_ = Encoder();
  entries_ = 0;
}

std::vector<FilePageRef> SectionWriter::finish() {
  flush();
  return std::move(pages_);
}

Bytes Manifest::read_page_bytes(const FilePageRef& page, const std::stop_token& stop) {
  return chunks_.read(page.address, stop);
}

std::vector<FileEntry> Manifest::read_page(const FilePageRef& page, const std::stop_token& stop) {
  const Bytes plain = read_page_bytes(page, stop);
  try {
    return decode_page(page, plain);
  } catch (Error& error) {
    throw error.about(chunks_.pack_name(page.address.pack));
  }
}

std::vector<FileEntry> Manifest::decode_page(const FilePageRef& page, ByteView plain) {
  Decoder in(plain);
  const std::vector<PackIndex> table = decode_pack_table(in, chunks_.registry());
  std::vector<FileEntry> entries;
  const std::size_t count = in.count(8);
  if (count != page.entries) malformed("a file page holds another number of files than it should");
  entries.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    entries.push_back(decode_entry(in, table));
    if (i > 0 && !path_before(entries[i - 1].path, entries[i].path)) {
      malformed("its files are out of order");
    }
    if (entries.back().owner >= root_.info.owners.size()) malformed("a file has an unknown owner");
  }
  if (!in.done()) malformed("bytes are left over in a file page");
  // An authentic page in the place of another one is noticed here.
  if (entries.empty() || entries.front().path != page.first_path) {
    malformed("a file page is not the one that belongs here");
  }
  return entries;
}

void Manifest::for_each(Section section, const std::function<void(const FileEntry&)>& visit,
                        const std::stop_token& stop) {
  std::string last;
  for (const FilePageRef& page : root_.pages[static_cast<std::size_t>(section)]) {
    if (!last.empty() && !path_before(last, page.first_path)) malformed("file pages overlap");
    for (const FileEntry& entry : read_page(page, stop)) {
      visit(entry);
      last = entry.path;
    }
  }
}

std::optional<FileEntry> Manifest::find(std::string_view path, const std::stop_token& stop) {
  // The final section first: what it holds was read last, and counts.
  for (const Section section : {Section::kFinal, Section::kData}) {
    const std::vector<FilePageRef>& pages = root_.pages[static_cast<std::size_t>(section)];
    const auto after = std::ranges::upper_bound(
        pages, path, [](std::string_view a, std::string_view b) { return path_before(a, b); },
        &FilePageRef::first_path);
    if (after == pages.begin()) continue;
    for (FileEntry& entry : read_page(*std::prev(after), stop)) {
      if (entry.path == path) return std::move(entry);
    }
  }
  return std::nullopt;
}

ManifestCursor::ManifestCursor(Manifest& manifest, Section section, std::stop_token stop,
                               std::function<void(const KnownFilePage&)> page_read)
    : manifest_(manifest),
      pages_(manifest.root().pages[static_cast<std::size_t>(section)]),
      stop_(std::move(stop)),
      page_read_(std::move(page_read)) {}

void ManifestCursor::read_page_for(std::string_view path) {
  const auto is_behind = [&](std::size_t page) {
    return page >= pages_.size() || path_before(path, pages_[page].first_path);
  };
  if (is_behind(next_page_)) return;
  while (!is_behind(next_page_ + 1)) ++next_page_;  // nobody asks for what is in those any more
  const FilePageRef& page = pages_[next_page_++];
  const Bytes plain = manifest_.read_page_bytes(page, stop_);
  entries_ = manifest_.decode_page(page, plain);
  at_ = 0;
  if (page_read_) page_read_({.hash = sha256(plain), .address = page.address});
}

std::optional<FileEntry> ManifestCursor::find(std::string_view path) {
  read_page_for(path);
  while (at_ < entries_.size() && path_before(entries_[at_].path, path)) ++at_;
  if (at_ == entries_.size() || entries_[at_].path != path) return std::nullopt;
  return std::move(entries_[at_++]);
}

BlockMap decode_slice_map(const FileEntry& entry, std::size_t slice, ByteView page,
                          PackRegistry& registry) {
  const std::uint64_t first = slice * kBlocksPerMapPage;
  const std::uint64_t all = (entry.size + kBlockBytes - 1) / kBlockBytes;
  BlockMap map = decode_map_page(page, registry);
  if (map.blocks() != std::min(kBlocksPerMapPage, all - first)) {
    malformed("a map page does not fit its file");
  }
  return map;
}

BlockMap Manifest::slice_map(const FileEntry& entry, std::size_t slice,
                             const std::stop_token& stop) {
  if (entry.map) return *entry.map;
  const ChunkAddress& address = entry.map_pages.at(slice).address;
  const Bytes page = chunks_.read(address, stop);
  try {
    return decode_slice_map(entry, slice, page, chunks_.registry());
  } catch (Error& error) {
    throw error.about(chunks_.pack_name(address.pack));
  }
}

}  // namespace holdfast
