#include "backup/file_sealer.h"

#include <algorithm>
#include <cstring>

#include "core/cancellation.h"

namespace holdfast {
namespace {

std::uint32_t block_count(std::uint64_t bytes) {
  return static_cast<std::uint32_t>((bytes + kBlockBytes - 1) / kBlockBytes);
}

}  // namespace

FileSealer::FileSealer(const SealContext& context)
    : context_(context), compressor_(context.compression), buffer_(kChunkPlainBytes) {}

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

void FileSealer::add_hashes(BlockMap& map, ByteView plain) const {
  for (std::size_t at = 0; at < plain.size(); at += kBlockBytes) {
    map.hashes.push_back(
        context_.hasher(plain.subspan(at, std::min(plain.size() - at, kBlockBytes))));
  }
}

void FileSealer::seal_slice(FileJob& job, std::size_t slice, const std::stop_token& stop) {
  const std::uint64_t begin = slice * kBytesPerMapPage;
  const std::uint64_t end = std::min(job.entry.size, begin + kBytesPerMapPage);
  const auto file = job.vanished ? nullptr : context_.files.open(job.entry.path);
  if (file == nullptr) {
    job.vanished = true;
    --job.open_slices;
    return;
  }
  BlockMap map;
  for (std::uint64_t at = begin; at < end; at += kChunkPlainBytes) {
    const MutableByteView plain =
        buffer_.span().first(std::min<std::uint64_t>(kChunkPlainBytes, end - at));
    read(*file, job.entry.path, at, plain, stop);
    if (is_zero(plain)) {
      map.add_zeros(block_count(plain.size()));
    } else {
      map.add_chunk(block_count(plain.size()), seal_chunk(plain), 0);
      add_hashes(map, plain);
      job.content_bytes += plain.size();
    }
    context_.progress.advance(plain.size());
  }
  if (slice_count(job.entry) == 1 && fits_in_entry(map)) {
    job.entry.map = std::move(map);
  } else {
    job.entry.map_pages[slice] = context_.maps.seal_map(map);
  }
  --job.open_slices;
}

void FileSealer::seal_small_files(const std::vector<std::shared_ptr<FileJob>>& jobs,
                                  const std::stop_token& stop) {
  struct Part {
    FileJob* job;
    std::size_t offset;
  };
  std::vector<Part> parts;
  std::size_t used = 0;
  for (const auto& job : jobs) {
    const auto file = context_.files.open(job->entry.path);
    if (file == nullptr) {
      job->vanished = true;
      --job->open_slices;
      continue;
    }
    const MutableByteView plain = buffer_.span().subspan(used, job->entry.size);
    read(*file, job->entry.path, 0, plain, stop);
    context_.progress.advance(plain.size());
    job->entry.map.emplace();
    if (is_zero(plain)) {
      job->entry.map->add_zeros(block_count(plain.size()));
      --job->open_slices;
      continue;
    }
    add_hashes(*job->entry.map, plain);
    job->content_bytes = plain.size();
    parts.push_back({job.get(), used});
    used += plain.size();
  }
  if (parts.empty()) return;
  const ChunkAddress chunk = seal_chunk(buffer_.view().first(used));
  for (const Part& part : parts) {
    part.job->entry.map->add_chunk(block_count(part.job->entry.size), chunk,
                                   static_cast<std::uint32_t>(part.offset));
    --part.job->open_slices;
  }
}

}  // namespace holdfast
