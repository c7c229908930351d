#include "backup/file_sealer.h"

#include <algorithm>
#include <cstring>

#include "core/cancellation.h"
#include "core/known.h"

namespace holdfast {
namespace {

constexpr std::size_t kBlocksAtOnce = kChunkPlainBytes / kBlockBytes;

std::uint32_t block_count(std::uint64_t bytes) {
  return static_cast<std::uint32_t>((bytes + kBlockBytes - 1) / kBlockBytes);
}

std::uint64_t slice_bytes(const FileEntry& entry, std::size_t index) {
  const std::uint64_t begin = index * kBytesPerMapPage;
  return std::min(entry.size, begin + kBytesPerMapPage) - begin;
}

}  // namespace

// A slice while it is worked on. Its blocks begin as the parent's, where there are any.
struct FileSealer::Slice {
  // What becomes of one block.
  enum class Todo : std::uint8_t {
    kKeep,   // as the parent has it, unread
    kRead,   // stored anew if it is not as the parent has it
    kStore,  // stored anew whatever the parent has
  };
  FileJob& job;
  std::size_t index;
  std::uint64_t bytes;
  std::vector<PlacedBlock> blocks;
  std::vector<Todo> todo;
  std::size_t known = 0;   // the first so many blocks are the parent's
  bool as_parent = false;  // so far, all of the slice is as the parent has it
  bool carried = false;    // it is, and the job says so already
};

FileSealer::FileSealer(const SealContext& context)
    : context_(context),
      compressor_(context.compression),
      buffer_(kChunkPlainBytes),
      fresh_([this](ByteView plain) { return seal_chunk(plain); }, kChunkPlainBytes) {}

void FileSealer::read(SourceFile& file, const std::string& path, std::uint64_t offset,
                      MutableByteView out, const std::stop_token& stop) {
  check_cancelled(stop);
  if (context_.rate != nullptr) context_.rate->wait_for_turn(out.size(), stop);
  const std::size_t got = file.read_at(offset, out);
  std::fill(out.begin() + static_cast<std::ptrdiff_t>(got), out.end(), std::byte{0});
  if (context_.guard == nullptr) return;
  if (const auto relation = parse_relation_file(path)) {
    context_.guard->check(file, path, *relation, offset, out.first(got));
  }
}

ChunkAddress FileSealer::seal_chunk(ByteView plain) {
  const Compressor::Result packed = compressor_.compress(plain);
  const NewChunk chunk = context_.data_packs.add(static_cast<std::uint32_t>(plain.size()),
                                                 packed.compression, packed.payload);
  const PackIndex pack = context_.maps.registry().intern(
      {context_.backup.history, context_.backup.id, names::PackKind::kData, chunk.pack,
       context_.data_packs.salt(chunk.pack)});
  return {pack, chunk.offset, chunk.sealed_length};
}

FileSealer::Slice FileSealer::plan(FileJob& job, std::size_t index, const std::stop_token& stop) {
  Slice slice{
      .job = job, .index = index, .bytes = slice_bytes(job.entry, index), .blocks = {}, .todo = {}};
  const bool has_parent =
      context_.base != nullptr && job.parent && index < slice_count(*job.parent);
  if (has_parent) plan_on_parent(slice, *job.parent, stop);
  if (slice.carried) return slice;
  const std::size_t count = block_count(slice.bytes);
  slice.blocks.resize(count);
  slice.todo.resize(count, Slice::Todo::kStore);
  return slice;
}

void FileSealer::plan_on_parent(Slice& slice, const FileEntry& parent,
                                const std::stop_token& stop) {
  using Todo = Slice::Todo;
  Base& base = *context_.base;
  const std::uint64_t parent_bytes = slice_bytes(parent, slice.index);
  const bool whole_blocks =
      slice.job.entry.size % kBlockBytes == 0 && parent.size % kBlockBytes == 0;
  std::optional<std::vector<BlockRun>> changed;
  const std::uint64_t first = slice.index * kBlocksPerMapPage;
  if (base.changes != nullptr && whole_blocks) {
    changed = base.changes->in_file(slice.job.entry.path, first, block_count(slice.bytes));
  }
  if (slice.bytes == parent_bytes && carry_on_unread(slice, parent, changed)) return;

  slice.blocks = blocks_of(base.manifest.slice_map(parent, slice.index, stop));
  const std::size_t count = block_count(slice.bytes);
  slice.known = std::min(count, slice.blocks.size());
  slice.as_parent = slice.bytes == parent_bytes;
  if (parent.map_pages.size() > slice.index &&
      base.due.has(parent.map_pages[slice.index].address.pack)) {
    slice.as_parent = false;  // the map itself is written anew
  }
  slice.blocks.resize(count);
  slice.todo.assign(count, Todo::kStore);
  const bool fragmented = is_fragmented(slice.blocks);
  for (std::size_t i = 0; i < slice.known; ++i) {
    const bool store =
        !slice.blocks[i].zero() && (fragmented || base.due.has(slice.blocks[i].chunk.pack));
    slice.todo[i] = store ? Todo::kStore : changed ? Todo::kKeep : Todo::kRead;
  }
  if (!changed) return;
  for (const BlockRun& run : *changed) {
    for (std::uint64_t block = run.first - first; block < run.first - first + run.count; ++block) {
      if (slice.todo[block] == Todo::kKeep) slice.todo[block] = Todo::kRead;
    }
  }
}

// Nothing of the slice changed and nothing of it is due: its map need not even be fetched.
bool FileSealer::carry_on_unread(Slice& slice, const FileEntry& parent,
                                 const std::optional<std::vector<BlockRun>>& changed) {
  if (!changed || !changed->empty()) return false;
  const PackSet& due = context_.base->due;
  std::uint64_t stored = 0;
  if (parent.map) {
    // An inline map is that of the whole file: of one that grew by a slice it would be half.
    if (slice_count(slice.job.entry) != 1) return false;
    const auto is_due = [&](PackIndex pack) { return due.has(pack); };
    if (std::ranges::any_of(packs_of(*parent.map), is_due)) return false;
    slice.job.entry.map = parent.map;
    stored = parent.map->hashes.size();
  } else {
    const MapPage& page = parent.map_pages.at(slice.index);
    const auto is_due = [&](PackIndex pack) { return due.has(pack); };
    if (is_due(page.address.pack) || std::ranges::any_of(page.packs, is_due)) return false;
    slice.job.entry.map_pages.at(slice.index) = page;
    stored = page.stored_blocks;
  }
  slice.job.content_bytes += std::min(stored * kBlockBytes, slice.bytes);
  context_.progress.advance(slice.bytes);
  slice.carried = true;
  return true;
}

void FileSealer::read_blocks(SourceFile& file, Slice& slice, const std::stop_token& stop) {
  const std::uint64_t begin = slice.index * kBytesPerMapPage;
  std::uint64_t kept = 0;
  for (std::size_t first = 0; first < slice.blocks.size();) {
    if (slice.todo[first] == Slice::Todo::kKeep) {
      ++first;
      kept += kBlockBytes;
      continue;
    }
    std::size_t end = first + 1;
    while (end < slice.blocks.size() && end - first < kBlocksAtOnce &&
           slice.todo[end] != Slice::Todo::kKeep) {
      ++end;
    }
    const std::uint64_t offset = first * kBlockBytes;
    const std::uint64_t bytes = std::min(end * kBlockBytes, slice.bytes) - offset;
    const MutableByteView plain = buffer_.span().first(bytes);
    read(file, slice.job.entry.path, begin + offset, plain, stop);
    place_run(slice, first, plain);
    context_.progress.advance(bytes);
    first = end;
  }
  context_.progress.advance(kept);
}

// Decides for each block of a run that was read: where it is, or into a chunk of this backup.
void FileSealer::place_run(Slice& slice, std::size_t first, ByteView plain) {
  const bool all_zero = is_zero(plain);
  const std::size_t count = block_count(plain.size());
  std::uint64_t changed = 0, refreshed = 0;
  std::size_t fresh_from = 0;  // blocks from here on wait to be stored
  const auto store_until = [&](std::size_t end) {
    if (fresh_from < end) {
      const std::size_t at = fresh_from * kBlockBytes;
      fresh_.add_run(plain.subspan(at, std::min(end * kBlockBytes, plain.size()) - at),
                     std::span(slice.blocks).subspan(first + fresh_from, end - fresh_from));
    }
    fresh_from = end + 1;
  };
  for (std::size_t i = 0; i < count; ++i) {
    const ByteView block =
        plain.subspan(i * kBlockBytes, std::min(kBlockBytes, plain.size() - i * kBlockBytes));
    PlacedBlock& place = slice.blocks[first + i];
    const bool known = first + i < slice.known;
    const std::uint64_t hash = all_zero ? 0 : context_.hasher(block);
    const bool same =
        known && (place.zero() ? all_zero || is_zero(block) : !all_zero && place.hash == hash);
    if (same && slice.todo[first + i] == Slice::Todo::kRead) {
      store_until(i);
      continue;
    }
    slice.as_parent = false;
    (same ? refreshed : changed) += block.size();
    place = {.chunk = {}, .offset = 0, .hash = hash};
    if (all_zero) store_until(i);
  }
  store_until(count);
  if (context_.base == nullptr) return;
  context_.base->counts.read_bytes += plain.size();
  context_.base->counts.changed_bytes += changed;
  context_.base->counts.refreshed_bytes += refreshed;
}

void FileSealer::finish(Slice& slice) {
  FileJob& job = slice.job;
  if (!slice.carried) {
    const BlockMap map = map_of(slice.blocks);
    job.content_bytes += std::min(map.hashes.size() * kBlockBytes, slice.bytes);
    if (slice_count(job.entry) == 1 && fits_in_entry(map)) {
      job.entry.map = map;
    } else if (slice.as_parent && !known(job.parent).map) {
      job.entry.map_pages[slice.index] = known(job.parent).map_pages[slice.index];
    } else {
      job.entry.map_pages[slice.index] = context_.maps.seal_map(map);
    }
  }
  --job.open_slices;
}

void FileSealer::vanish(FileJob& job) {
  job.vanished = true;
  --job.open_slices;
}

void FileSealer::seal_slice(FileJob& job, std::size_t index, const std::stop_token& stop) {
  if (job.vanished) return vanish(job);
  Slice slice = plan(job, index, stop);
  if (!slice.carried) {
    const auto file = context_.files.open(job.entry.path);
    if (file == nullptr) return vanish(job);
    read_blocks(*file, slice, stop);
    fresh_.flush();
  }
  finish(slice);
}

void FileSealer::seal_small_files(const std::vector<std::shared_ptr<FileJob>>& jobs,
                                  const std::stop_token& stop) {
  std::vector<Slice> slices;
  slices.reserve(jobs.size());  // blocks must stay where they are until their chunk is sealed
  for (const auto& job : jobs) {
    Slice slice = plan(*job, 0, stop);
    if (!slice.carried) {
      const auto file = context_.files.open(job->entry.path);
      if (file == nullptr) {
        vanish(*job);
        continue;
      }
      slices.push_back(std::move(slice));
      read_blocks(*file, slices.back(), stop);
    } else {
      slices.push_back(std::move(slice));
    }
  }
  fresh_.flush();
  for (Slice& slice : slices) finish(slice);
}

}  // namespace holdfast
