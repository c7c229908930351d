#include "backup/memory_plan.h"

#include <algorithm>

namespace holdfast {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20U;
// Program, libraries, allocator, thread stacks, the window of file entries in flight.
constexpr std::size_t kBaseBytes = 24 * kMiB;
// One worker: chunk, compression context and its output.
constexpr std::size_t kWorkerBytes = 2 * kMiB;
constexpr std::size_t kMaxPackBytes = 32 * kMiB;

}  // namespace

MemoryPlan plan_memory(std::uint64_t memory_bytes, std::size_t jobs,
                       std::size_t parallel_requests) {
  const std::size_t budget = std::max<std::size_t>(memory_bytes, kMinMemoryBytes) - kBaseBytes;
  MemoryPlan plan;
  plan.map_uploads = 1;
  plan.map_pack_bytes = std::min<std::size_t>(8 * kMiB, budget / 10);
  const std::size_t maps = plan.map_pack_bytes * 2;
  // At least three packs must fit: one that fills while two are on their way.
  const std::size_t for_packs = (budget - maps) * 3 / 4;
  plan.data_pack_bytes = std::min(kMaxPackBytes, for_packs / 3);
  plan.data_uploads = std::clamp<std::size_t>(for_packs / plan.data_pack_bytes - 1, 2,
                                              std::max<std::size_t>(parallel_requests, 2));
  const std::size_t left = budget - maps - plan.data_pack_bytes * (plan.data_uploads + 1);
  plan.workers = std::clamp<std::size_t>(left / kWorkerBytes, 1, std::max<std::size_t>(jobs, 1));
  return plan;
}

}  // namespace holdfast
