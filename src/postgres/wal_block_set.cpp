#include "postgres/wal_block_set.h"

#include <algorithm>
#include <array>
#include <tuple>

namespace holdfast {
namespace {

constexpr std::uint64_t kFree = ~std::uint64_t{0};  // no fork has this index
constexpr std::size_t kFirstSlots = 4096;

std::uint64_t mix(std::uint64_t value) {
  value *= 0x9E3779B97F4A7C15U;  // Fibonacci hashing: the golden ratio in 64 bits
  return value ^ (value >> 32U);
}

// Ascending order, by bytes: faster than comparing, as most bytes are the same in all keys.
void sort_keys(std::vector<std::uint64_t>& keys) {
  constexpr std::size_t kWorthIt = 2048;
  if (keys.size() < kWorthIt) {
    std::ranges::sort(keys);
    return;
  }
  std::uint64_t differing = 0;
  for (const std::uint64_t key : keys) differing |= key ^ keys.front();
  std::vector<std::uint64_t> sorted(keys.size());
  for (unsigned shift = 0; shift < 64; shift += 8) {
    if (((differing >> shift) & 0xFFU) == 0) continue;
    std::array<std::size_t, 257> places{};
    for (const std::uint64_t key : keys) ++places[((key >> shift) & 0xFFU) + 1];
    for (std::size_t i = 1; i < places.size(); ++i) places[i] += places[i - 1];
    for (const std::uint64_t key : keys) sorted[places[(key >> shift) & 0xFFU]++] = key;
    keys.swap(sorted);
  }
}

std::uint32_t block_of(std::uint64_t key) {
  return static_cast<std::uint32_t>(key);
}

void append(std::vector<BlockRun>& runs, BlockRun next) {
  if (!runs.empty()) {
    BlockRun& last = runs.back();
    const std::uint64_t last_end = std::uint64_t{last.first} + last.count;
    if (next.first <= last_end) {
      const std::uint64_t end = std::max(last_end, std::uint64_t{next.first} + next.count);
      last.count = static_cast<std::uint32_t>(end - last.first);
      return;
    }
  }
  runs.push_back(next);
}

}  // namespace

std::vector<BlockRun> merge_runs(const std::vector<BlockRun>& one,
                                 const std::vector<BlockRun>& other) {
  std::vector<BlockRun> merged;
  merged.reserve(one.size() + other.size());
  auto a = one.begin();
  auto b = other.begin();
  while (a != one.end() || b != other.end()) {
    const bool from_one = b == other.end() || (a != one.end() && a->first <= b->first);
    append(merged, from_one ? *a++ : *b++);
  }
  merged.shrink_to_fit();
  return merged;
}

std::size_t WalBlockSet::ForkHash::operator()(const Fork& key) const {
  const std::uint64_t place = std::uint64_t{key.file.tablespace} << 32U | key.file.database;
  return mix(mix(place) ^ (std::uint64_t{key.file.relation} << 2U | key.fork));
}

WalBlockSet::WalBlockSet() : recent_(kRecentForks), table_(kFirstSlots, kFree) {}

std::uint32_t WalBlockSet::index_of(const Fork& key) {
  Recent& recent = recent_[mix(std::uint64_t{key.file.relation} << 2U | key.fork) % kRecentForks];
  if (recent.index != ~std::uint32_t{0} && recent.key == key) return recent.index;
  const auto [at, added] = known_.try_emplace(key, static_cast<std::uint32_t>(forks_.size()));
  if (added) forks_.push_back({key.file, key.fork, {}});
  recent = {key, at->second};
  return at->second;
}

void WalBlockSet::add(const RelationFile& file, std::uint8_t fork, std::uint32_t block) {
  insert(std::uint64_t{index_of({file, fork})} << 32U | block);
}

void WalBlockSet::insert(std::uint64_t key) {
  const std::size_t mask = table_.size() - 1;
  std::size_t at = mix(key) & mask;
  while (table_[at] != kFree) {
    if (table_[at] == key) return;
    at = (at + 1) & mask;
  }
  table_[at] = key;
  ++pending_;
  if (pending_ * 2 > table_.size()) {
    if (pending_ >= kMaxPendingBlocks) {
      merge_pending();
    } else {
      grow();
    }
  }
}

void WalBlockSet::grow() {
  std::vector<std::uint64_t> old(table_.size() * 4, kFree);
  old.swap(table_);
  pending_ = 0;
  for (const std::uint64_t key : old) {
    if (key != kFree) insert(key);
  }
}

void WalBlockSet::merge_pending() {
  std::vector<std::uint64_t> keys;
  keys.reserve(pending_);
  for (std::uint64_t& key : table_) {
    if (key != kFree) keys.push_back(key);
    key = kFree;
  }
  pending_ = 0;
  sort_keys(keys);
  std::vector<BlockRun> runs;
  for (std::size_t at = 0; at < keys.size();) {
    const std::uint64_t index = keys[at] >> 32U;
    runs.clear();
    for (; at < keys.size() && keys[at] >> 32U == index; ++at) {
      append(runs, {block_of(keys[at]), 1});
    }
    RelationBlocks& fork = forks_[index];
    fork.runs = fork.runs.empty() ? std::vector<BlockRun>(runs) : merge_runs(fork.runs, runs);
  }
}

std::vector<RelationBlocks> WalBlockSet::take() {
  merge_pending();
  std::vector<RelationBlocks> all = std::move(forks_);
  std::ranges::sort(all, [](const RelationBlocks& a, const RelationBlocks& b) {
    return std::tie(a.file, a.fork) < std::tie(b.file, b.fork);
  });
  *this = WalBlockSet();
  return all;
}

}  // namespace holdfast
