#include "storage/rate_store.h"

#include <algorithm>

#include "core/error.h"
#include "storage/store_decorator.h"

namespace holdfast {
namespace {

class RateStore final : public StoreDecorator {
 public:
  RateStore(std::unique_ptr<ObjectStore> inner, RateLimit limit, Pacer& pacer)
      : StoreDecorator(std::move(inner)), limiter_(limit, pacer) {}

  PutOutcome put(const std::string& name, ByteView content, const PutOptions& options,
                 const std::stop_token& stop) override {
    limiter_.wait_for_turn(content.size(), stop);
    return inner().put(name, content, options, stop);
  }

  std::optional<Bytes> get(const std::string& name, const std::stop_token& stop) override {
    limiter_.wait_for_turn(0, stop);
    auto content = inner().get(name, stop);
    if (content) limiter_.book(content->size());
    return content;
  }

  bool get_range(const std::string& name, std::uint64_t offset, MutableByteView out,
                 const std::stop_token& stop) override {
    limiter_.wait_for_turn(out.size(), stop);
    return inner().get_range(name, offset, out, stop);
  }

 private:
  RateLimiter limiter_;
};

}  // namespace

RateLimiter::RateLimiter(RateLimit limit, Pacer& pacer)
    : limit_(limit), pacer_(pacer), free_at_(pacer.now()) {
  HF_INVARIANT(limit.bytes_per_second > 0);
}

Pacer::TimePoint RateLimiter::book(std::uint64_t bytes) {
  const std::chrono::duration<double> time(static_cast<double>(bytes) /
                                           static_cast<double>(limit_.bytes_per_second));
  const std::lock_guard lock(mutex_);
  const Pacer::TimePoint start = std::max(free_at_, pacer_.now() - kBurst);
  free_at_ = start + std::chrono::duration_cast<Pacer::Duration>(time);
  return start;
}

void RateLimiter::wait_for_turn(std::uint64_t bytes, const std::stop_token& stop) {
  const Pacer::Duration wait = book(bytes) - pacer_.now();
  if (wait > Pacer::Duration::zero()) pacer_.sleep(wait, stop);
}

std::unique_ptr<ObjectStore> make_rate_store(std::unique_ptr<ObjectStore> inner, RateLimit limit,
                                             Pacer& pacer) {
  return std::make_unique<RateStore>(std::move(inner), limit, pacer);
}

}  // namespace holdfast
