#pragma once
// Walks everything that a manifest says about content: sections, file pages, entries and the block
// maps of their slices, in bounded batches, and goes on after damage: a page that cannot be read
// becomes a finding that tells the files or blocks that are lost with it.
// Memory: kPagesAtOnce file pages with their entries, and kSlicesAtOnce maps.

#include <functional>
#include <stop_token>
#include <vector>

#include "repository/chunk_fetcher.h"
#include "repository/manifest.h"
#include "verify/findings.h"

namespace holdfast {

// 64 MiB of a file, or all of a smaller one.
struct WalkedSlice {
  const FileEntry* file = nullptr;
  std::uint64_t first_block = 0;
  BlockMap map;
};

// A run of blocks of a slice that one chunk holds.
struct WalkedPiece {
  const WalkedSlice* slice = nullptr;
  ChunkAddress chunk;
  std::uint32_t offset_in_chunk = 0;
  std::uint32_t bytes = 0;
  BlockRange blocks;           // of the file
  std::size_t first_hash = 0;  // in the slice's map
};
std::vector<WalkedPiece> pieces_of(const std::vector<WalkedSlice>& slices);

struct WalkOptions {
  std::size_t threads = 8;
  // Damage of the manifest itself is told by the first walk only.
  enum class Report { kYes, kNo } report = Report::kYes;
};

class ContentWalk {
 public:
  ContentWalk(Manifest& manifest, ChunkReader& chunks, Findings& findings, WalkOptions options)
      : manifest_(manifest), chunks_(chunks), findings_(findings), options_(options) {}

  using Visit = std::function<void(const std::vector<WalkedSlice>&)>;
  void run(const Visit& visit, const std::stop_token& stop);

 private:
  void walk_section(Section section, const Visit& visit, const std::stop_token& stop);
  std::vector<std::vector<FileEntry>> read_pages(const std::vector<FilePageRef>& pages,
                                                 std::size_t first, std::size_t last,
                                                 const std::stop_token& stop);
  void visit_entries(const std::vector<FileEntry>& entries, const Visit& visit,
                     const std::stop_token& stop);
  void fill_maps(std::vector<WalkedSlice>& slices, const std::stop_token& stop);
  void report_page(const FilePageRef& page, const Error& error);
  void report_slice(const WalkedSlice& slice, const Error& error);

  Manifest& manifest_;
  ChunkReader& chunks_;
  Findings& findings_;
  const WalkOptions options_;
};

}  // namespace holdfast
