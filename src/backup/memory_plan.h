#pragma once
// Divides a command's byte budget (invariant 10) among the stages of a backup. Pure arithmetic.

#include <cstddef>
#include <cstdint>

namespace holdfast {

struct MemoryPlan {
  std::size_t data_pack_bytes = 0;
  std::size_t data_uploads = 0;  // data packs in flight besides the open one
  std::size_t map_pack_bytes = 0;
  std::size_t map_uploads = 0;
  std::size_t workers = 0;
};

// The least budget that a backup runs in.
inline constexpr std::uint64_t kMinMemoryBytes = std::uint64_t{64} << 20U;

// `jobs` and `parallel_requests` (of the store) are wishes; the budget decides.
MemoryPlan plan_memory(std::uint64_t memory_bytes, std::size_t jobs, std::size_t parallel_requests);

}  // namespace holdfast
