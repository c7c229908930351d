#include "copy/standalone.h"

#include <algorithm>
#include <charconv>

#include "copy/wal_copier.h"
#include "core/error.h"
#include "core/fault_point.h"
#include "postgres/wal_segment.h"
#include "repository/chunk_fetcher.h"
#include "repository/wal_object.h"

namespace holdfast {
namespace {

constexpr std::size_t kWrittenPackBytes = std::size_t{8} << 20U;
constexpr std::size_t kSlicesAtOnce = 256;
constexpr std::string_view kWalFolder = "pg_wal/";

bool is_own(const PackRef& pack, const BackupName& backup) {
  return pack.history == backup.history && pack.backup == backup.id;
}

// Behind every pack of this kind in the backup's folder, and behind `known`.
std::uint32_t next_number(const Repository& repository, const BackupName& backup,
                          names::PackKind kind, std::uint32_t known, const std::stop_token& stop) {
  const std::string first = names::pack(backup, kind, 1);
  const std::string folder = first.substr(0, first.rfind('/') + 1);
  std::uint32_t highest = known;
  for_each_object(repository.store(), folder, stop, [&](const ObjectInfo& object) {
    const std::string_view digits = std::string_view(object.name).substr(folder.size());
    std::uint32_t number = 0;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (read.ec == std::errc() && read.ptr == digits.data() + digits.size()) {
      highest = std::max(highest, number);
    }
  });
  return highest + 1;
}

}  // namespace

std::vector<PackMove> standalone_moves(const ManifestRoot& root, const PackRegistry& registry) {
  const BackupName& name = root.info.name;
  std::uint32_t highest = 0;
  for (const CitedPack& cited : root.packs) {
    const PackRef& pack = registry.at(cited.pack);
    if (pack.kind == names::PackKind::kData && is_own(pack, name)) {
      highest = std::max(highest, pack.number);
    }
  }
  std::vector<PackMove> moves;
  for (const CitedPack& cited : root.packs) {
    const PackRef& from = registry.at(cited.pack);
    if (from.kind != names::PackKind::kData) continue;
    PackRef to = from;
    if (!is_own(from, name)) {
      to.history = name.history;
      to.backup = name.id;
      to.number = ++highest;
    }
    moves.push_back({from, std::move(to), cited.bytes});
  }
  return moves;
}

StandaloneWriter::StandaloneWriter(const CopySides& sides, Manifest& source, ChunkReader& chunks,
                                   const std::vector<PackMove>& moves, const CopyOptions& options,
                                   Progress& progress)
    : sides_(sides),
      source_(source),
      chunks_(chunks),
      moves_(moves),
      options_(options),
      progress_(progress),
      name_(source.info().name),
      hasher_(page_hasher_of(sides.from, source.root())) {
  for (const PackMove& move : moves_) {
    const PackIndex to = registry_.intern(move.to);
    copies_[chunks_.registry().intern(move.from)] = to;
    moved_.push_back({to, move.bytes});
  }
}

std::size_t StandaloneWriter::fetch_threads() const {
  const std::uint64_t taken = kCopyBaseBytes + 4 * kWrittenPackBytes;
  const std::uint64_t left = options_.memory_bytes > taken ? options_.memory_bytes - taken : 0;
  return std::clamp<std::size_t>(left / (kReadBytes + kMaxChunkPlainBytes), 1,
                                 sides_.from.store().capabilities().parallel_requests);
}

void StandaloneWriter::open_writers(const std::stop_token& stop) {
  std::uint32_t data = 0, maps = 0;
  for (const PackMove& move : moves_) data = std::max(data, move.to.number);
  for (const CitedPack& cited : source_.root().packs) {
    const PackRef& pack = chunks_.registry().at(cited.pack);
    if (pack.kind == names::PackKind::kMap && is_own(pack, name_)) {
      maps = std::max(maps, pack.number);
    }
  }
  const auto open = [&](names::PackKind kind, std::uint32_t known) {
    return std::make_unique<PackWriter>(
        sides_.to.store(), sides_.to.keys(),
        PackWriterOptions{.backup = name_,
                          .kind = kind,
                          .pack_bytes = kWrittenPackBytes,
                          .uploads = 1,
                          .first_number = next_number(sides_.to, name_, kind, known, stop)},
        stop);
  };
  data_packs_ = open(names::PackKind::kData, data);
  map_packs_ = open(names::PackKind::kMap, maps);
  maps_ = std::make_unique<MapSink>(*map_packs_, registry_, name_);
}

void StandaloneWriter::point_to_copies(BlockMap& map) const {
  for (Extent& extent : map.extents) {
    if (extent.zero()) continue;
    const auto copy = copies_.find(extent.chunk.pack);
    if (copy == copies_.end()) {
      throw Error(ErrorKind::kDamage, "a map names a pack that the backup does not",
                  {.object = chunks_.pack_name(extent.chunk.pack)});
    }
    extent.chunk.pack = copy->second;
  }
}

void StandaloneWriter::rewrite_slices(std::vector<FileEntry>& entries,
                                      const std::vector<Slice>& slices,
                                      const std::stop_token& stop) {
  std::vector<ChunkRequest> requests;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    requests.push_back({entries[slices[i].entry].map_pages[slices[i].index].address, i});
  }
  fetch_chunks(chunks_, std::move(requests), {.threads = fetch_threads()}, stop,
               [&](const std::vector<std::size_t>& tags, ByteView plain) {
                 for (const std::size_t tag : tags) {
                   FileEntry& entry = entries[slices[tag].entry];
                   const std::size_t index = slices[tag].index;
                   BlockMap map = decode_slice_map(entry, index, plain, chunks_.registry());
                   point_to_copies(map);
                   entry.map_pages[index] = maps_->seal_map(map);
                 }
               });
}

void StandaloneWriter::rewrite(std::vector<FileEntry>& entries, const std::stop_token& stop) {
  std::vector<Slice> slices;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].map) point_to_copies(*entries[i].map);
    for (std::size_t index = 0; index < entries[i].map_pages.size(); ++index) {
      slices.push_back({i, index});
      if (slices.size() < kSlicesAtOnce) continue;
      rewrite_slices(entries, slices, stop);
      slices.clear();
    }
  }
  rewrite_slices(entries, slices, stop);
}

std::vector<FilePageRef> StandaloneWriter::rewrite_data(const std::stop_token& stop) {
  SectionWriter section(*maps_);
  for (const FilePageRef& page : source_.root().pages[std::size_t(Section::kData)]) {
    std::vector<FileEntry> entries = source_.read_page(page, stop);
    rewrite(entries, stop);
    for (const FileEntry& entry : entries) section.add(entry);
  }
  return section.finish();
}

std::vector<FilePageRef> StandaloneWriter::rewrite_final(const WalLine& line, ManifestRoot& root,
                                                         const std::stop_token& stop) {
  // Few: configuration, the control file, the label, and WAL.
  std::vector<FileEntry> entries;
  for (const FilePageRef& page : source_.root().pages[std::size_t(Section::kFinal)]) {
    for (FileEntry& entry : source_.read_page(page, stop)) entries.push_back(std::move(entry));
  }
  rewrite(entries, stop);
  if (!root.info.standalone) carry_wal(line, entries, root.info, stop);
  std::ranges::sort(entries, path_before, &FileEntry::path);
  SectionWriter section(*maps_);
  for (const FileEntry& entry : entries) section.add(entry);
  return section.finish();
}

void StandaloneWriter::carry_wal(const WalLine& line, std::vector<FileEntry>& entries,
                                 BackupInfo& info, const std::stop_token& stop) {
  const WalSegmentSize size = info.wal_segment_size;
  const auto shape = [&](const WalFileName& file, std::uint64_t bytes, std::uint64_t valid) {
    return CarriedFile::Shape{.path = std::string(kWalFolder) + file.text,
                              .size = bytes,
                              .valid_bytes = valid,
                              .owner = info.data_directory_owner,
                              .modified_ns = info.stop_time.time_since_epoch().count() * 1000};
  };
  for (const CarriedSegment& segment :
       carried_segments(info.timeline, info.start_lsn, info.stop_lsn, size)) {
    const WalFileName file = wal_file_of(segment.name, size);
    entries.push_back(carry(line, file, shape(file, size.bytes, segment.valid_bytes), info, stop));
  }
  if (info.timeline.value > 1) {
    const auto text = read_timeline_history(sides_.from, line, info.timeline, stop);
    const WalFileName file = history_file_of(info.timeline);
    if (!text) {
      throw Error(ErrorKind::kDamage, "the history of the backup's timeline is not archived",
                  {.object = file.text});
    }
    CarriedFile carried({*data_packs_, *maps_, hasher_, name_},
                        shape(file, text->size(), text->size()));
    carried.add(as_bytes(*text));
    entries.push_back(carried.finish());
    info.content_bytes += carried.content_bytes();
    info.data_bytes += text->size();
    ++info.files;
  }
  info.standalone = true;
}

FileEntry StandaloneWriter::carry(const WalLine& line, const WalFileName& file,
                                  const CarriedFile::Shape& shape, BackupInfo& info,
                                  const std::stop_token& stop) {
  for (const WalCandidate& candidate : find_candidates(sides_.from, line, file, stop)) {
    CarriedFile carried({*data_packs_, *maps_, hasher_, name_}, shape);
    const auto identity =
        read_wal(sides_.from, candidate.place, file, candidate.object, stop, [&](ByteView piece) {
          carried.add(piece);
          progress_.advance(piece.size());
        });
    if (!identity) continue;
    if (identity->bytes != shape.size) {
      throw Error(ErrorKind::kDamage, "a WAL segment has the wrong size",
                  {.object = candidate.object});
    }
    FileEntry entry = carried.finish();
    info.content_bytes += carried.content_bytes();
    info.data_bytes += shape.size;
    ++info.files;
    return entry;
  }
  throw lacks_needed_wal(line, file);
}

void StandaloneWriter::cite(ManifestRoot& root) {
  root.packs = moved_;
  const auto add = [&](PackWriter& writer, names::PackKind kind) {
    for (const StoredPack& pack : writer.finish()) {
      root.packs.push_back(
          {registry_.intern({name_.history, name_.id, kind, pack.number, pack.salt}), pack.bytes});
    }
  };
  add(*data_packs_, names::PackKind::kData);
  add(*map_packs_, names::PackKind::kMap);
  root.info.stored_bytes = 0;
  for (const CitedPack& pack : root.packs) root.info.stored_bytes += pack.bytes;
  root.info.pack_count = root.packs.size();
}

ManifestRoot StandaloneWriter::write(const WalLine& line, const std::stop_token& stop) {
  open_writers(stop);
  ManifestRoot root{.info = source_.info()};
  root.pages[std::size_t(Section::kData)] = rewrite_data(stop);
  root.pages[std::size_t(Section::kFinal)] = rewrite_final(line, root, stop);
  cite(root);
  root.info.type = "full";
  root.info.incremental.reset();
  fault_point("copy.maps_stored");
  return root;
}

}  // namespace holdfast
