#include "verify/content_check.h"

#include <algorithm>
#include <tuple>

#include "core/cancellation.h"
#include "postgres/data_files.h"
#include "postgres/page.h"

namespace holdfast {
namespace {

// Chunks of damaged packs that are read one by one; those beyond count as lost.
constexpr std::size_t kMaxProbes = 100'000;

constexpr std::string_view kNotThere = "a chunk that the manifest names is not in it";

void lose(Findings& findings, const ChunkReader& chunks, const WalkedPiece& piece,
          std::string_view problem) {
  findings.add_loss(chunks.pack_name(piece.chunk.pack),
                    {problem, piece.slice->file->path, piece.blocks});
}

std::set<std::pair<std::string, std::uint64_t>> as_set(const std::vector<BadPage>& pages) {
  std::set<std::pair<std::string, std::uint64_t>> set;
  for (const BadPage& page : pages) set.emplace(page.path, page.block);
  return set;
}

}  // namespace

void PlaceCheck::check(const std::vector<WalkedSlice>& slices, const std::stop_token& stop) {
  for (const WalkedPiece& piece : pieces_of(slices)) check_piece(piece, stop);
  check_cancelled(stop);
}

void PlaceCheck::check_piece(const WalkedPiece& piece, const std::stop_token& stop) {
  if (!cited_.contains(piece.chunk.pack)) {
    lose(findings_, chunks_, piece, "the manifest uses it without listing it");
    return;
  }
  const auto pack = packs_.find(piece.chunk.pack);
  if (pack == packs_.end()) return;  // another walk is about it
  const std::string problem = problem_of(piece, pack->second, stop);
  if (!problem.empty()) lose(findings_, chunks_, piece, problem);
}

std::string PlaceCheck::problem_of(const WalkedPiece& piece, const CheckedPack& pack,
                                   const std::stop_token& stop) {
  if (pack.state == PackState::kMissing) return "missing";
  if (pack.state == PackState::kDamaged) return probe(piece.chunk, stop);
  const auto at =
      std::ranges::lower_bound(pack.chunks, piece.chunk.offset, {}, &ChunkPlace::offset);
  const bool there = at != pack.chunks.end() && at->offset == piece.chunk.offset &&
                     at->sealed_length == piece.chunk.sealed_length &&
                     at->plain_length >= std::size_t{piece.offset_in_chunk} + piece.bytes;
  return std::string(there ? std::string_view{} : kNotThere);
}

const std::string& PlaceCheck::probe(const ChunkAddress& chunk, const std::stop_token& stop) {
  static const std::string kNotTried = "damaged";
  const auto known = probed_.find({chunk.pack, chunk.offset});
  if (known != probed_.end()) return known->second;
  if (probed_.size() >= kMaxProbes) return kNotTried;
  std::string problem;
  try {
    chunks_.read(chunk, stop);
  } catch (const Error& error) {
    if (!condemns_one_object(error.kind())) throw;
    problem = error.message();
  }
  return probed_[{chunk.pack, chunk.offset}] = problem;
}

DeepCheck::DeepCheck(const PageHasher& hasher, ChunkReader& chunks, Findings& findings,
                     const BackupInfo& info, std::size_t threads)
    : hasher_(hasher),
      chunks_(chunks),
      findings_(findings),
      info_(info),
      threads_(threads),
      excused_(as_set(info.excused)),
      damaged_(as_set(info.damaged)) {}

void DeepCheck::check(const std::vector<WalkedSlice>& slices, Progress& progress,
                      const std::stop_token& stop) {
  const std::vector<WalkedPiece> pieces = pieces_of(slices);
  std::vector<ChunkRequest> requests;
  requests.reserve(pieces.size());
  for (std::size_t i = 0; i < pieces.size(); ++i) requests.push_back({pieces[i].chunk, i});
  const auto failed = [&](const std::vector<std::size_t>& tags, const Error& error) {
    for (const std::size_t tag : tags) lose(findings_, chunks_, pieces[tag], error.message());
  };
  fetch_chunks(chunks_, std::move(requests), {.threads = threads_, .failed = failed}, stop,
               [&](const std::vector<std::size_t>& tags, ByteView plain) {
                 for (const std::size_t tag : tags) {
                   check_piece(pieces[tag], plain);
                   progress.advance(pieces[tag].bytes);
                 }
               });
}

void DeepCheck::check_piece(const WalkedPiece& piece, ByteView plain) {
  if (plain.size() < std::size_t{piece.offset_in_chunk} + piece.bytes) {
    return lose(findings_, chunks_, piece, "a chunk is shorter than the manifest says");
  }
  const ByteView content = plain.subspan(piece.offset_in_chunk, piece.bytes);
  bool good = true;
  for (std::uint64_t i = 0; i < piece.blocks.count; ++i) {
    const std::uint64_t at = i * kBlockBytes;
    const ByteView block = content.subspan(at, std::min(kBlockBytes, content.size() - at));
    if (hasher_(block) == piece.slice->map.hashes[piece.first_hash + i]) continue;
    good = false;
    findings_.add_loss(chunks_.pack_name(piece.chunk.pack),
                       {"it holds another content than was backed up",
                        piece.slice->file->path,
                        {piece.blocks.first + i, 1}});
  }
  if (good && info_.data_checksums) check_pages(piece, content);
}

void DeepCheck::check_pages(const WalkedPiece& piece, ByteView content) {
  const auto relation = parse_relation_file(piece.slice->file->path);
  if (!relation) return;
  const std::uint64_t base = std::uint64_t{relation->number} * info_.relation_segment_blocks;
  for (std::uint64_t i = 0; (i + 1) * kPageBytes <= content.size(); ++i) {
    const std::uint64_t block = piece.blocks.first + i;
    if (check_page(content.subspan(i * kPageBytes, kPageBytes),
                   static_cast<std::uint32_t>(base + block)) == PageState::kBad) {
      judge_page(piece, block);
    }
  }
}

void DeepCheck::judge_page(const WalkedPiece& piece, std::uint64_t block) {
  // The keyed hash matched: the repository gives back what was read. So the page was bad already.
  const std::string& path = piece.slice->file->path;
  const bool complete =
      info_.damaged.size() == info_.damaged_pages && info_.excused.size() == info_.excused_pages;
  {
    const std::lock_guard lock(mutex_);
    if (excused_.contains({path, block})) {
      ++counts_.excused;
      return;
    }
    if (damaged_.contains({path, block}) || !complete) {
      ++counts_.damaged_in_cluster;
      if (counts_.named.size() < kMaxBadPages) counts_.named.push_back({path, block});
      return;
    }
  }
  findings_.add_loss(
      chunks_.pack_name(piece.chunk.pack),
      {"a page fails its checksum, which the backup did not notice", path, {block, 1}});
}

PageCounts DeepCheck::pages() const {
  const std::lock_guard lock(mutex_);
  PageCounts counts = counts_;
  std::ranges::sort(counts.named, {},
                    [](const BadPage& page) { return std::tie(page.path, page.block); });
  return counts;
}

}  // namespace holdfast
