#pragma once
// Decorator: counts requests, bytes, errors and time per operation. Costs a few atomic additions a
// call. The counts may be read while they grow; each number by itself is exact, their sum over one
// moment is not.

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>

#include "core/time.h"
#include "storage/object_store.h"
#include "storage/store_operation.h"

namespace holdfast {

// Latencies are counted in buckets: up to 1, 2, 4 … 2^14 ms, and longer.
inline constexpr std::size_t kLatencyBuckets = 16;

struct OperationMetrics {
  std::uint64_t requests = 0;
  std::uint64_t errors = 0;     // threw, whatever the reason; absent and exists are no errors
  std::uint64_t bytes_in = 0;   // from the store
  std::uint64_t bytes_out = 0;  // to the store, also when the request failed
  Seconds time{};
  Seconds longest{};
  std::array<std::uint64_t, kLatencyBuckets> latencies{};
};

struct MetricsSnapshot {
  std::array<OperationMetrics, kStoreOperationNames.size()> operations;
  const OperationMetrics& of(StoreOperation operation) const {
    return operations[static_cast<std::size_t>(operation)];
  }
  OperationMetrics total() const;
};

// The counts themselves; several stores may share them. Thread-safe.
class StoreMetrics {
 public:
  struct Transfer {
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
  };
  enum class Result { kAnswered, kFailed };

  void count(StoreOperation operation, Result result, std::chrono::nanoseconds time,
             const Transfer& transfer);
  MetricsSnapshot snapshot() const;

 private:
  struct Counters {
    std::atomic<std::uint64_t> requests{0}, errors{0}, bytes_in{0}, bytes_out{0};
    std::atomic<std::uint64_t> time_ns{0}, longest_ns{0};
    std::array<std::atomic<std::uint64_t>, kLatencyBuckets> latencies{};
  };
  std::array<Counters, kStoreOperationNames.size()> counters_;
};

std::unique_ptr<ObjectStore> make_metrics_store(std::unique_ptr<ObjectStore> inner,
                                                std::shared_ptr<StoreMetrics> metrics);

}  // namespace holdfast
