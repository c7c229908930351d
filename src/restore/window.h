#pragma once
// A window: some gigabytes' worth of files that are restored together. Its chunks are fetched in
// pack order whatever files they belong to, so an incremental whose pages lie in many packs is read
// nearly sequentially too.

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "core/progress.h"
#include "repository/chunk_fetcher.h"
#include "repository/manifest.h"
#include "repository/stand_in.h"
#include "restore/file_writer.h"
#include "seal/hash.h"

namespace holdfast {

struct WindowContext {
  Manifest& manifest;
  ChunkReader& chunks;
  const PageHasher& hasher;
  std::filesystem::path data_directory;
  bool compare_first = false;  // content may be there already: compare before fetching
  std::size_t threads = 8;
  Progress& progress;
  StandIns* stand_ins = nullptr;  // for what is damaged; may be null
};

struct WindowCounts {
  std::atomic<std::uint64_t> written{0};
  std::atomic<std::uint64_t> kept{0};
};

class Window {
 public:
  Window(const WindowContext& context, WindowCounts& counts) : context_(context), counts_(counts) {}

  // Slices [first, last) of a file.
  void add(const FileEntry& file, std::size_t first, std::size_t last);
  bool full() const;
  bool empty() const { return files_.empty(); }
  // Fetches and writes everything that was added. The files exist at their sizes.
  void restore(const std::stop_token& stop);

 private:
  struct Slice {
    std::size_t file = 0;
    std::size_t index = 0;  // which 64 MiB of the file
    BlockMap map;
  };
  // A run of blocks of one file that one chunk holds.
  struct Piece {
    std::size_t slice = 0;
    std::uint64_t file_offset = 0;
    std::uint32_t bytes = 0;
    std::uint32_t offset_in_chunk = 0;
    std::size_t first_hash = 0;  // in the slice's map
    ChunkAddress chunk;
  };

  void read_maps(const std::stop_token& stop);
  void make_pieces();
  void reserve_space(const std::stop_token& stop);
  void clear_zeros(const std::stop_token& stop);
  void drop_pieces_in_place(const std::stop_token& stop);
  bool is_in_place(const Piece& piece) const;
  void write_what_differs(const std::filesystem::path& path, std::uint64_t offset, ByteView content,
                          FileWriter& writer);
  void write_piece(const Piece& piece, ByteView plain, FileWriter& writer);
  void write_from_elsewhere(const Piece& piece, const Error& damage, const std::stop_token& stop);
  void check_blocks(const Piece& piece, ByteView content) const;
  void write_content(const Piece& piece, ByteView content, FileWriter& writer);
  std::filesystem::path path_of(const Piece& piece) const;
  FileWriter& writer_of_this_thread();

  const WindowContext& context_;
  WindowCounts& counts_;
  std::vector<FileEntry> files_;
  std::vector<Slice> slices_;
  // A run of zeros; only kept when something else may be there.
  struct Zeros {
    std::size_t file = 0;
    std::uint64_t offset = 0, bytes = 0;
  };
  std::vector<Piece> pieces_;
  std::vector<Zeros> zeros_;
  std::uint64_t bytes_ = 0;
  std::mutex mutex_;
  std::map<std::thread::id, FileWriter> writers_;  // guarded by mutex_; each used by its thread
};

}  // namespace holdfast
