#include "storage/metrics_store.h"

#include <algorithm>
#include <bit>

#include "storage/store_decorator.h"

namespace holdfast {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;  // numbers only; nothing is ordered by them

std::size_t bucket_of(std::chrono::nanoseconds time) {
  const auto ms = static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, std::chrono::ceil<std::chrono::milliseconds>(time).count()));
  // 0 and 1 ms: bucket 0; 2: 1; 3 and 4: 2 …
  const auto bucket = ms <= 1 ? 0U : static_cast<unsigned>(std::bit_width(ms - 1));
  return std::min<std::size_t>(bucket, kLatencyBuckets - 1);
}

Seconds seconds_of(const std::atomic<std::uint64_t>& nanoseconds) {
  return Seconds(static_cast<double>(nanoseconds.load(kRelaxed)) / 1e9);
}

class MetricsStore final : public StoreDecorator {
 public:
  MetricsStore(std::unique_ptr<ObjectStore> inner, std::shared_ptr<StoreMetrics> metrics)
      : StoreDecorator(std::move(inner)), metrics_(std::move(metrics)) {}

  PutOutcome put(const std::string& name, ByteView content, const PutOptions& options,
                 const std::stop_token& stop) override {
    Measured measured(*metrics_, StoreOperation::kPut);
    measured.transfer.bytes_out = content.size();
    return measured.done(inner().put(name, content, options, stop));
  }
  std::optional<Bytes> get(const std::string& name, const std::stop_token& stop) override {
    Measured measured(*metrics_, StoreOperation::kGet);
    auto content = inner().get(name, stop);
    if (content) measured.transfer.bytes_in = content->size();
    return measured.done(std::move(content));
  }
  bool get_range(const std::string& name, std::uint64_t offset, MutableByteView out,
                 const std::stop_token& stop) override {
    Measured measured(*metrics_, StoreOperation::kGetRange);
    const bool found = inner().get_range(name, offset, out, stop);
    if (found) measured.transfer.bytes_in = out.size();
    return measured.done(found);
  }
  std::optional<ObjectInfo> head(const std::string& name, const std::stop_token& stop) override {
    Measured measured(*metrics_, StoreOperation::kHead);
    return measured.done(inner().head(name, stop));
  }
  ListPage list(const ListRequest& request, const std::stop_token& stop) override {
    Measured measured(*metrics_, StoreOperation::kList);
    return measured.done(inner().list(request, stop));
  }
  void remove(const std::string& name, const std::stop_token& stop) override {
    Measured measured(*metrics_, StoreOperation::kRemove);
    inner().remove(name, stop);
    measured.done(true);
  }
  std::vector<RemoveFailure> remove_many(const std::vector<std::string>& names,
                                         const std::stop_token& stop) override {
    Measured measured(*metrics_, StoreOperation::kRemoveMany);
    return measured.done(inner().remove_many(names, stop));
  }
  Timestamp now(const std::stop_token& stop) override {
    Measured measured(*metrics_, StoreOperation::kNow);
    return measured.done(inner().now(stop));
  }

 private:
  // Counts one request when it goes out of scope: as failed unless done() was reached.
  class Measured {
   public:
    Measured(StoreMetrics& metrics, StoreOperation operation)
        : metrics_(metrics), operation_(operation), start_(std::chrono::steady_clock::now()) {}
    Measured(const Measured&) = delete;
    Measured& operator=(const Measured&) = delete;
    ~Measured() {
      metrics_.count(operation_, result_, std::chrono::steady_clock::now() - start_, transfer);
    }
    template <class Value>
    Value done(Value value) {
      result_ = StoreMetrics::Result::kAnswered;
      return value;
    }
    StoreMetrics::Transfer transfer;

   private:
    StoreMetrics& metrics_;
    const StoreOperation operation_;
    const std::chrono::steady_clock::time_point start_;
    StoreMetrics::Result result_ = StoreMetrics::Result::kFailed;
  };

  std::shared_ptr<StoreMetrics> metrics_;
};

}  // namespace

OperationMetrics MetricsSnapshot::total() const {
  OperationMetrics sum;
  for (const OperationMetrics& one : operations) {
    sum.requests += one.requests;
    sum.errors += one.errors;
    sum.bytes_in += one.bytes_in;
    sum.bytes_out += one.bytes_out;
    sum.time += one.time;
    sum.longest = std::max(sum.longest, one.longest);
    for (std::size_t i = 0; i < kLatencyBuckets; ++i) sum.latencies[i] += one.latencies[i];
  }
  return sum;
}

void StoreMetrics::count(StoreOperation operation, Result result, std::chrono::nanoseconds time,
                         const Transfer& transfer) {
  Counters& counters = counters_[static_cast<std::size_t>(operation)];
  counters.requests.fetch_add(1, kRelaxed);
  if (result == Result::kFailed) counters.errors.fetch_add(1, kRelaxed);
  counters.bytes_in.fetch_add(transfer.bytes_in, kRelaxed);
  counters.bytes_out.fetch_add(transfer.bytes_out, kRelaxed);
  const auto time_ns = static_cast<std::uint64_t>(std::max<std::int64_t>(0, time.count()));
  counters.time_ns.fetch_add(time_ns, kRelaxed);
  std::uint64_t longest = counters.longest_ns.load(kRelaxed);
  while (longest < time_ns && !counters.longest_ns.compare_exchange_weak(longest, time_ns)) {
  }
  counters.latencies[bucket_of(time)].fetch_add(1, kRelaxed);
}

MetricsSnapshot StoreMetrics::snapshot() const {
  MetricsSnapshot snapshot;
  for (std::size_t i = 0; i < counters_.size(); ++i) {
    const Counters& from = counters_[i];
    OperationMetrics& to = snapshot.operations[i];
    to.requests = from.requests.load(kRelaxed);
    to.errors = from.errors.load(kRelaxed);
    to.bytes_in = from.bytes_in.load(kRelaxed);
    to.bytes_out = from.bytes_out.load(kRelaxed);
    to.time = seconds_of(from.time_ns);
    to.longest = seconds_of(from.longest_ns);
    for (std::size_t b = 0; b < kLatencyBuckets; ++b) {
      to.latencies[b] = from.latencies[b].load(kRelaxed);
    }
  }
  return snapshot;
}

std::unique_ptr<ObjectStore> make_metrics_store(std::unique_ptr<ObjectStore> inner,
                                                std::shared_ptr<StoreMetrics> metrics) {
  return std::make_unique<MetricsStore>(std::move(inner), std::move(metrics));
}

}  // namespace holdfast
