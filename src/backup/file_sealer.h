#pragma once
// Reads files and turns them into sealed chunks and block maps: the work of one worker thread.
//
// A slice (64 MiB of a file) becomes a run of chunks of kChunkPlainBytes; a stretch of that size
// that is all zero is not stored. Small files are put together in one chunk.
//
// On a base, a slice is first looked up there. One that is known to be as it was is carried on
// unread. Of every other, the blocks that may have changed are read, all of them where nothing is
// known of the changes; those whose hash is as it was stay where the base has them, and the others
// go into chunks of this backup, as do blocks of packs that are due and of fragmented maps.
//
// A file that turns out shorter than it
// was listed is filled up with zeros, as PostgreSQL's own base backup does: WAL replay puts its
// tail right. A file that turns out longer is read up to its listed size.
// Threads: one FileSealer per thread; they share writer, guard and sink.

#include <atomic>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "backup/base.h"
#include "backup/data_source.h"
#include "backup/page_guard.h"
#include "backup/placed_blocks.h"
#include "core/progress.h"
#include "repository/manifest.h"
#include "repository/pack_writer.h"
#include "seal/hash.h"
#include "storage/rate_store.h"

namespace holdfast {

// Measured on table pages (docs/performance.md): larger chunks compress hardly better, smaller ones
// worse and slower, and a random read of one page costs one chunk.
inline constexpr std::size_t kChunkPlainBytes = std::size_t{256} << 10U;
// Files up to this size share chunks.
inline constexpr std::uint64_t kSmallFileBytes = kChunkPlainBytes;

// One file on its way through the backup, in manifest order. `entry` is complete when `open_slices`
// is 0; which thread gets it there is decided by that counter.
struct FileJob {
  FileEntry entry;
  std::optional<FileEntry> parent = {};  // the same file in the base
  std::atomic<std::size_t> open_slices{0};
  std::atomic<std::uint64_t> content_bytes{0};  // stored, not zero
  std::atomic<bool> vanished{false};
};

struct SealContext {
  FileOpener& files;
  PackWriter& data_packs;
  MapSink& maps;
  PageGuard* guard = nullptr;  // none: page checksums are off in the cluster
  const PageHasher& hasher;
  CompressionChoice compression;
  RateLimiter* rate = nullptr;  // none: as fast as it goes
  const BackupName& backup;
  Progress& progress;
  Base* base = nullptr;  // none: a full backup
};

class FileSealer {
 public:
  explicit FileSealer(const SealContext& context);

  void seal_slice(FileJob& job, std::size_t index, const std::stop_token& stop);
  // All of them at most kSmallFileBytes together.
  void seal_small_files(const std::vector<std::shared_ptr<FileJob>>& jobs,
                        const std::stop_token& stop);

 private:
  struct Slice;
  Slice plan(FileJob& job, std::size_t index, const std::stop_token& stop);
  void plan_on_parent(Slice& slice, const FileEntry& parent, const std::stop_token& stop);
  bool carry_on_unread(Slice& slice, const FileEntry& parent,
                       const std::optional<std::vector<BlockRun>>& changed);
  void read_blocks(SourceFile& file, Slice& slice, const std::stop_token& stop);
  void place_run(Slice& slice, std::size_t first, ByteView plain);
  void finish(Slice& slice);
  void vanish(FileJob& job);
  // Reads [offset, offset + out.size()) of the file, checks its pages, fills up with zeros.
  void read(SourceFile& file, const std::string& path, std::uint64_t offset, MutableByteView out,
            const std::stop_token& stop);
  ChunkAddress seal_chunk(ByteView plain);

  const SealContext context_;
  Compressor compressor_;
  Buffer buffer_;
  FreshBlocks fresh_;
};

}  // namespace holdfast
