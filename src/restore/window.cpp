#include "restore/window.h"

#include <algorithm>

#include <fcntl.h>

#include "core/error.h"
#include "core/parallel.h"
#include "system/files.h"

namespace holdfast {
namespace {

// Content planned at a time: the maps of so many full slices take some megabytes.
constexpr std::uint64_t kWindowBytes = std::uint64_t{4} << 30U;
constexpr std::size_t kWindowFiles = 20000;

}  // namespace

void Window::add(const FileEntry& file, std::size_t first, std::size_t last) {
  for (std::size_t i = first; i < last; ++i) {
    slices_.push_back({files_.size(), i, {}});
    bytes_ += std::min(kBytesPerMapPage, file.size - i * kBytesPerMapPage);
  }
  files_.push_back(file);
}

bool Window::full() const {
  return bytes_ >= kWindowBytes || files_.size() >= kWindowFiles;
}

void Window::restore(const std::stop_token& stop) {
  read_maps(stop);
  make_pieces();
  if (context_.compare_first) {
    clear_zeros(stop);
    drop_pieces_in_place(stop);
  }
  reserve_space(stop);
  std::vector<ChunkRequest> requests;
  requests.reserve(pieces_.size());
  for (std::size_t i = 0; i < pieces_.size(); ++i) requests.push_back({pieces_[i].chunk, i});
  FetchOptions how{.threads = context_.threads};
  if (context_.stand_ins != nullptr) {
    how.failed = [&](const std::vector<std::size_t>& tags, const Error& damage) {
      for (const std::size_t tag : tags) write_from_elsewhere(pieces_[tag], damage, stop);
    };
  }
  fetch_chunks(context_.chunks, std::move(requests), how, stop,
               [&](const std::vector<std::size_t>& tags, ByteView plain) {
                 FileWriter& writer = writer_of_this_thread();
                 for (const std::size_t tag : tags) {
                   try {
                     write_piece(pieces_[tag], plain, writer);
                   } catch (const Error& error) {
                     const bool other = error.kind() == ErrorKind::kDamage && how.failed;
                     if (!other) throw;
                     how.failed({tag}, error);
                   }
                 }
               });
  for (auto& [thread, writer] : writers_) writer.flush();
}

// Shorter runs are not worth a call.
void Window::reserve_space(const std::stop_token& stop) {
  std::vector<std::pair<std::size_t, std::uint64_t>> runs;  // first piece, bytes
  for (std::size_t i = 0, next = 0; i < pieces_.size(); i = next) {
    std::uint64_t end = pieces_[i].file_offset;
    for (next = i; next < pieces_.size() && pieces_[next].file_offset == end &&
                   slices_[pieces_[next].slice].file == slices_[pieces_[i].slice].file;
         ++next) {
      end += pieces_[next].bytes;
    }
    const std::uint64_t bytes = end - pieces_[i].file_offset;
    if (bytes >= kRunBytes) runs.emplace_back(i, bytes);
  }
  parallel_for(runs.size(), context_.threads, stop, [&](std::size_t i, const std::stop_token&) {
    const Piece& first = pieces_[runs[i].first];
    reserve_range(path_of(first), first.file_offset, runs[i].second);
  });
}

FileWriter& Window::writer_of_this_thread() {
  const std::lock_guard lock(mutex_);
  return writers_[std::this_thread::get_id()];
}

void Window::read_maps(const std::stop_token& stop) {
  // Small files carry their maps; the map pages of large ones come with few requests too.
  std::vector<ChunkRequest> requests;
  for (std::size_t i = 0; i < slices_.size(); ++i) {
    Slice& slice = slices_[i];
    FileEntry& file = files_[slice.file];
    if (file.map) {
      slice.map = std::move(*file.map);
    } else {
      requests.push_back({file.map_pages[slice.index].address, i});
    }
  }
  fetch_chunks(context_.chunks, std::move(requests), {.threads = context_.threads}, stop,
               [&](const std::vector<std::size_t>& tags, ByteView plain) {
                 for (const std::size_t tag : tags) {
                   slices_[tag].map =
                       decode_slice_map(files_[slices_[tag].file], slices_[tag].index, plain,
                                        context_.chunks.registry());
                 }
               });
}

void Window::make_pieces() {
  for (std::size_t i = 0; i < slices_.size(); ++i) {
    const Slice& slice = slices_[i];
    const std::uint64_t size = files_[slice.file].size;
    std::uint64_t offset = slice.index * kBytesPerMapPage;
    std::size_t hash = 0;
    for (const Extent& extent : slice.map.extents) {
      const std::uint64_t end = std::min(size, offset + extent.blocks * kBlockBytes);
      if (!extent.zero()) {
        pieces_.push_back({i, offset, static_cast<std::uint32_t>(end - offset),
                           extent.offset_in_chunk, hash, extent.chunk});
        hash += extent.blocks;
      } else {
        if (context_.compare_first) zeros_.push_back({slice.file, offset, end - offset});
        context_.progress.advance(end - offset);
      }
      offset = end;
    }
  }
}

std::filesystem::path Window::path_of(const Piece& piece) const {
  return context_.data_directory / files_[slices_[piece.slice].file].path;
}

void Window::clear_zeros(const std::stop_token& stop) {
  parallel_for(zeros_.size(), context_.threads, stop, [&](std::size_t i, const std::stop_token&) {
    const Zeros& run = zeros_[i];
    write_zeros(context_.data_directory / files_[run.file].path, run.offset, run.bytes);
  });
}

void Window::drop_pieces_in_place(const std::stop_token& stop) {
  std::vector<char> there(pieces_.size(), 0);
  parallel_for(pieces_.size(), context_.threads, stop, [&](std::size_t i, const std::stop_token&) {
    there[i] = is_in_place(pieces_[i]) ? 1 : 0;
  });
  std::vector<Piece> missing;
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    if (there[i] == 0) {
      missing.push_back(pieces_[i]);
    } else {
      counts_.kept += pieces_[i].bytes;
      context_.progress.advance(pieces_[i].bytes);
    }
  }
  pieces_ = std::move(missing);
}

bool Window::is_in_place(const Piece& piece) const {
  const std::filesystem::path path = path_of(piece);
  const FileDescriptor fd = open_or_throw(path, O_RDONLY);
  Bytes block(kBlockBytes);
  const BlockMap& map = slices_[piece.slice].map;
  for (std::uint32_t at = 0, i = 0; at < piece.bytes; at += kBlockBytes, ++i) {
    const MutableByteView part =
        MutableByteView(block).first(std::min<std::size_t>(kBlockBytes, piece.bytes - at));
    if (read_at(fd.get(), piece.file_offset + at, part, path.native()) != part.size()) return false;
    if (context_.hasher(part) != map.hashes[piece.first_hash + i]) return false;
  }
  return true;
}

void Window::write_piece(const Piece& piece, ByteView plain, FileWriter& writer) {
  if (plain.size() < std::size_t{piece.offset_in_chunk} + piece.bytes) {
    throw Error(ErrorKind::kDamage, "a chunk is shorter than the manifest says",
                {.object = context_.chunks.pack_name(piece.chunk.pack)});
  }
  const ByteView content = plain.subspan(piece.offset_in_chunk, piece.bytes);
  check_blocks(piece, content);
  write_content(piece, content, writer);
}

// The content counts, whatever it came from: it has to be what this backup's manifest says.
void Window::write_from_elsewhere(const Piece& piece, const Error& damage,
                                  const std::stop_token& stop) {
  const std::string& file = files_[slices_[piece.slice].file].path;
  const Bytes content = context_.stand_ins->replace(
      {context_.manifest.info(), file, {piece.file_offset, piece.bytes}},
      {damage, context_.chunks.pack_name(piece.chunk.pack)}, stop);
  check_blocks(piece, content);
  write_content(piece, content, writer_of_this_thread());
}

void Window::check_blocks(const Piece& piece, ByteView content) const {
  const BlockMap& map = slices_[piece.slice].map;
  for (std::uint32_t at = 0, i = 0; at < piece.bytes; at += kBlockBytes, ++i) {
    const ByteView block =
        content.subspan(at, std::min<std::size_t>(kBlockBytes, piece.bytes - at));
    if (context_.hasher(block) != map.hashes[piece.first_hash + i]) {
      throw Error(ErrorKind::kDamage,
                  fmt::format("block {} of {} is not what was backed up",
                              (piece.file_offset + at) / kBlockBytes,
                              files_[slices_[piece.slice].file].path),
                  {.object = context_.chunks.pack_name(piece.chunk.pack)});
    }
  }
}

void Window::write_content(const Piece& piece, ByteView content, FileWriter& writer) {
  const std::filesystem::path path = path_of(piece);
  if (context_.compare_first) {
    write_what_differs(path, piece.file_offset, content, writer);
  } else {
    writer.write(path, piece.file_offset, content);
    counts_.written += content.size();
  }
  context_.progress.advance(content.size());
}

void Window::write_what_differs(const std::filesystem::path& path, std::uint64_t offset,
                                ByteView content, FileWriter& writer) {
  for (std::size_t at = 0; at < content.size(); at += kBlockBytes) {
    const ByteView block =
        content.subspan(at, std::min<std::size_t>(kBlockBytes, content.size() - at));
    if (writer.holds(path, offset + at, block)) {
      counts_.kept += block.size();
    } else {
      writer.write(path, offset + at, block);
      counts_.written += block.size();
    }
  }
}

}  // namespace holdfast
