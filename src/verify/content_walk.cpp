#include "verify/content_walk.h"

#include <algorithm>

#include "repository/catalogue.h"

namespace holdfast {
namespace {

constexpr std::size_t kPagesAtOnce = 16;
constexpr std::size_t kSlicesAtOnce = 64;     // whose maps lie in map pages: 4 GiB of data
constexpr std::size_t kSmallAtOnce = 20'000;  // slices whose maps came with the entry

std::uint64_t blocks_of(std::uint64_t bytes) {
  return (bytes + kBlockBytes - 1) / kBlockBytes;
}

// Blocks of the slice that begins at `first_block`.
std::uint64_t slice_blocks(const FileEntry& file, std::uint64_t first_block) {
  return std::min(kBlocksPerMapPage, blocks_of(file.size) - first_block);
}

}  // namespace

std::vector<WalkedPiece> pieces_of(const std::vector<WalkedSlice>& slices) {
  std::vector<WalkedPiece> pieces;
  for (const WalkedSlice& slice : slices) {
    std::uint64_t block = slice.first_block;
    std::size_t hash = 0;
    for (const Extent& extent : slice.map.extents) {
      if (!extent.zero()) {
        const std::uint64_t begin = block * kBlockBytes;
        const std::uint64_t end = std::min(slice.file->size, begin + extent.blocks * kBlockBytes);
        pieces.push_back({&slice,
                          extent.chunk,
                          extent.offset_in_chunk,
                          static_cast<std::uint32_t>(end - begin),
                          {block, extent.blocks},
                          hash});
        hash += extent.blocks;
      }
      block += extent.blocks;
    }
  }
  return pieces;
}

void ContentWalk::run(const Visit& visit, const std::stop_token& stop) {
  walk_section(Section::kData, visit, stop);
  walk_section(Section::kFinal, visit, stop);
}

void ContentWalk::walk_section(Section section, const Visit& visit, const std::stop_token& stop) {
  const auto& pages = manifest_.root().pages[static_cast<std::size_t>(section)];
  std::string last;
  for (std::size_t i = 0; i < pages.size(); i += kPagesAtOnce) {
    const std::size_t end = std::min(pages.size(), i + kPagesAtOnce);
    for (const auto& entries : read_pages(pages, i, end, stop)) {
      if (entries.empty()) continue;
      if (!last.empty() && !path_before(last, entries.front().path)) {
        findings_.add(names::manifest(manifest_.info().name), "its file pages overlap");
      }
      last = entries.back().path;
      visit_entries(entries, visit, stop);
    }
  }
}

std::vector<std::vector<FileEntry>> ContentWalk::read_pages(const std::vector<FilePageRef>& pages,
                                                            std::size_t first, std::size_t last,
                                                            const std::stop_token& stop) {
  std::vector<std::vector<FileEntry>> entries(last - first);
  std::vector<ChunkRequest> requests;
  for (std::size_t i = first; i < last; ++i) requests.push_back({pages[i].address, i});
  const auto failed = [&](const std::vector<std::size_t>& tags, const Error& error) {
    for (const std::size_t tag : tags) report_page(pages[tag], error);
  };
  fetch_chunks(chunks_, std::move(requests), {.threads = options_.threads, .failed = failed}, stop,
               [&](const std::vector<std::size_t>& tags, ByteView plain) {
                 for (const std::size_t tag : tags) {
                   try {
                     entries[tag - first] = manifest_.decode_page(pages[tag], plain);
                   } catch (const Error& error) {
                     if (!condemns_one_object(error.kind())) throw;
                     report_page(pages[tag], error);
                   }
                 }
               });
  return entries;
}

void ContentWalk::visit_entries(const std::vector<FileEntry>& entries, const Visit& visit,
                                const std::stop_token& stop) {
  std::vector<WalkedSlice> slices;
  std::size_t to_fetch = 0;
  const auto flush = [&] {
    fill_maps(slices, stop);
    visit(slices);
    slices.clear();
    to_fetch = 0;
  };
  for (const FileEntry& entry : entries) {
    if (entry.type != FileType::kRegular) continue;
    for (std::size_t i = 0; i < slice_count(entry); ++i) {
      slices.push_back({&entry, i * kBlocksPerMapPage, {}});
      if (!entry.map) ++to_fetch;
      if (to_fetch >= kSlicesAtOnce || slices.size() >= kSmallAtOnce) flush();
    }
  }
  if (!slices.empty()) flush();
}

void ContentWalk::fill_maps(std::vector<WalkedSlice>& slices, const std::stop_token& stop) {
  std::vector<ChunkRequest> requests;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    WalkedSlice& slice = slices[i];
    if (slice.file->map) {
      slice.map = *slice.file->map;
    } else {
      requests.push_back({slice.file->map_pages[slice.first_block / kBlocksPerMapPage].address, i});
    }
  }
  const auto failed = [&](const std::vector<std::size_t>& tags, const Error& error) {
    for (const std::size_t tag : tags) report_slice(slices[tag], error);
  };
  fetch_chunks(chunks_, std::move(requests), {.threads = options_.threads, .failed = failed}, stop,
               [&](const std::vector<std::size_t>& tags, ByteView plain) {
                 for (const std::size_t tag : tags) {
                   WalkedSlice& slice = slices[tag];
                   try {
                     slice.map =
                         decode_slice_map(*slice.file, slice.first_block / kBlocksPerMapPage, plain,
                                          chunks_.registry());
                   } catch (const Error& error) {
                     if (!condemns_one_object(error.kind())) throw;
                     report_slice(slice, error);
                   }
                 }
               });
}

void ContentWalk::report_page(const FilePageRef& page, const Error& error) {
  if (options_.report == WalkOptions::Report::kNo) return;
  const std::string range = fmt::format("{} files from {} on", page.entries, page.first_path);
  findings_.add_loss(chunks_.pack_name(page.address.pack), {error.message(), range, {}});
}

void ContentWalk::report_slice(const WalkedSlice& slice, const Error& error) {
  if (options_.report == WalkOptions::Report::kNo) return;
  const ChunkAddress& address =
      slice.file->map_pages[slice.first_block / kBlocksPerMapPage].address;
  findings_.add_loss(chunks_.pack_name(address.pack),
                     {error.message(),
                      slice.file->path,
                      {slice.first_block, slice_blocks(*slice.file, slice.first_block)}});
}

}  // namespace holdfast
