#pragma once
// What the checks of storage/conformance.h share. Internal to them.

#include <atomic>
#include <exception>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "storage/conformance.h"
#include "storage/object_store.h"

namespace holdfast::conformance {

// Ends a check with an answer other than "ok".
struct Verdict {
  CheckOutcome outcome;
  std::string detail;
};

template <class... Parts>
[[noreturn]] void fail(fmt::format_string<Parts...> text, Parts&&... parts) {
  throw Verdict{CheckOutcome::kFailed, fmt::format(text, std::forward<Parts>(parts)...)};
}

struct Context {
  ObjectStore& store;
  const ConformanceOptions& options;
  const std::stop_token& stop;
  bool may_delete = true;  // learnt by the check of deletion

  std::string name(std::string_view tail) const {
    return options.scratch_prefix + std::string(tail);
  }
  PutOutcome put(const std::string& object, ByteView content) const {
    return store.put(object, content, {}, stop);
  }
  // Puts an object that cannot be there yet.
  void create(const std::string& object, ByteView content) const {
    if (put(object, content) != PutOutcome::kCreated) {
      fail("the store says that {} existed before it was written", object);
    }
  }
  void expect_content(const std::string& object, ByteView content) const;
  std::vector<std::string> list_all(ListRequest request) const;
  void require_delete() const {
    if (!may_delete) throw Verdict{CheckOutcome::kUnsupported, "objects cannot be deleted"};
  }
};

// Bytes that differ from seed to seed and repeat nowhere near.
Bytes pattern(std::size_t size, std::uint64_t seed);

// work(0) … work(count - 1) on several threads; throws what the first failing one threw.
template <class Work>
void in_parallel(std::size_t count, std::size_t threads, const Work& work) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  {
    std::vector<std::jthread> workers;
    for (std::size_t i = 0; i < std::min(count, threads); ++i) {
      workers.emplace_back([&] {
        try {
          for (std::size_t at = next++; at < count; at = next++) work(at);
        } catch (...) {
          next = count;
          const std::lock_guard lock(mutex);
          if (!failure) failure = std::current_exception();
        }
      });
    }
  }
  if (failure) std::rethrow_exception(failure);
}

// Each returns a detail worth knowing, or nothing; throws Verdict or the store's Error.
std::string check_round_trip(Context& context);
std::string check_empty_object(Context& context);
std::string check_large_object(Context& context);
std::string check_absent(Context& context);
std::string check_ranges(Context& context);
std::string check_create_only(Context& context);
std::string check_concurrent_creators(Context& context);
std::string check_names(Context& context);
std::string check_read_after_write(Context& context);
std::string check_parallel_requests(Context& context);
std::string check_clock(Context& context);
std::string check_list_order(Context& context);
std::string check_list_paging(Context& context);
std::string check_list_folders(Context& context);
std::string check_long_listing(Context& context);
std::string check_delete(Context& context);
std::string check_delete_many(Context& context);
std::string clean_up(Context& context);

}  // namespace holdfast::conformance
