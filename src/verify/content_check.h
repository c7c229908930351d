#pragma once
// Two ways to hold what the manifest says of content against the packs.
//
// PlaceCheck: every chunk that is named lies where it should in a pack that was authenticated as a
// whole. Chunks of damaged packs are read one by one, so that the files and blocks that are really
// lost can be told.
// DeepCheck: every chunk is read, decompressed, each block compared with its keyed hash, and pages
// of relations with their own checksums, where the cluster has them.
// Memory: a batch of the walk; DeepCheck also what fetch_chunks needs.

#include <cstdint>
#include <set>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/progress.h"
#include "verify/content_walk.h"
#include "verify/pack_check.h"

namespace holdfast {

using CheckedPacks = std::unordered_map<PackIndex, CheckedPack>;

class PlaceCheck {
 public:
  // `packs`: those that this walk is about. `cited`: every pack of the manifest.
  PlaceCheck(ChunkReader& chunks, Findings& findings, const CheckedPacks& packs,
             const std::set<PackIndex>& cited)
      : chunks_(chunks), findings_(findings), packs_(packs), cited_(cited) {}

  void check(const std::vector<WalkedSlice>& slices, const std::stop_token& stop);

 private:
  void check_piece(const WalkedPiece& piece, const std::stop_token& stop);
  // What keeps this piece from being read; empty when nothing does.
  std::string problem_of(const WalkedPiece& piece, const CheckedPack& pack,
                         const std::stop_token& stop);
  const std::string& probe(const ChunkAddress& chunk, const std::stop_token& stop);

  ChunkReader& chunks_;
  Findings& findings_;
  const CheckedPacks& packs_;
  const std::set<PackIndex>& cited_;
  std::map<std::pair<PackIndex, std::uint32_t>, std::string> probed_;  // in damaged packs
};

struct PageCounts {
  std::uint64_t excused = 0;             // torn during the backup; its WAL mends them
  std::uint64_t damaged_in_cluster = 0;  // bad when they were backed up, and said so then
  std::vector<BadPage> named;            // of these, by path and block; at most kMaxBadPages
};

class DeepCheck {
 public:
  DeepCheck(const PageHasher& hasher, ChunkReader& chunks, Findings& findings,
            const BackupInfo& info, std::size_t threads);

  void check(const std::vector<WalkedSlice>& slices, Progress& progress,
             const std::stop_token& stop);
  PageCounts pages() const;

 private:
  using Page = std::pair<std::string, std::uint64_t>;
  void check_piece(const WalkedPiece& piece, ByteView plain);
  void check_pages(const WalkedPiece& piece, ByteView content);
  void judge_page(const WalkedPiece& piece, std::uint64_t block);

  const PageHasher hasher_;
  ChunkReader& chunks_;
  Findings& findings_;
  const BackupInfo& info_;
  const std::size_t threads_;
  std::set<Page> excused_, damaged_;
  mutable std::mutex mutex_;
  PageCounts counts_;
};

}  // namespace holdfast
