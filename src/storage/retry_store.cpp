#include "storage/retry_store.h"

#include <algorithm>
#include <type_traits>

#include "core/cancellation.h"
#include "core/log.h"
#include "storage/store_decorator.h"
#include "storage/store_operation.h"

namespace holdfast {
namespace {

constexpr double kProcessTokens = 500;
constexpr unsigned kQuietAttempts = 2;  // a hiccup is no news
constexpr unsigned kMaxDoublings = 30;

std::shared_ptr<RetryBudget> process_budget() {
  static const auto budget = std::make_shared<RetryBudget>(kProcessTokens);
  return budget;
}

class RetryStore final : public StoreDecorator {
 public:
  RetryStore(std::unique_ptr<ObjectStore> inner, const RetryPolicy& policy,
             const RetryEnvironment& environment)
      : StoreDecorator(std::move(inner)),
        policy_(policy),
        pacer_(environment.pacer),
        budget_(environment.budget ? environment.budget : process_budget()),
        random_(environment.seed) {}

  PutOutcome put(const std::string& name, ByteView content, const PutOptions& options,
                 const std::stop_token& stop) override {
    return repeat({StoreOperation::kPut, name}, stop,
                  [&] { return inner().put(name, content, options, stop); });
  }
  std::optional<Bytes> get(const std::string& name, const std::stop_token& stop) override {
    return repeat({StoreOperation::kGet, name}, stop, [&] { return inner().get(name, stop); });
  }
  bool get_range(const std::string& name, std::uint64_t offset, MutableByteView out,
                 const std::stop_token& stop) override {
    return repeat({StoreOperation::kGetRange, name}, stop,
                  [&] { return inner().get_range(name, offset, out, stop); });
  }
  std::optional<ObjectInfo> head(const std::string& name, const std::stop_token& stop) override {
    return repeat({StoreOperation::kHead, name}, stop, [&] { return inner().head(name, stop); });
  }
  ListPage list(const ListRequest& request, const std::stop_token& stop) override {
    return repeat({StoreOperation::kList, request.prefix}, stop,
                  [&] { return inner().list(request, stop); });
  }
  void remove(const std::string& name, const std::stop_token& stop) override {
    repeat({StoreOperation::kRemove, name}, stop, [&] { inner().remove(name, stop); });
  }
  std::vector<RemoveFailure> remove_many(const std::vector<std::string>& names,
                                         const std::stop_token& stop) override {
    return repeat({StoreOperation::kRemoveMany, names.empty() ? "" : names.front()}, stop,
                  [&] { return inner().remove_many(names, stop); });
  }
  std::optional<ThawState> thaw_state(const std::string& name,
                                      const std::stop_token& stop) override {
    return repeat({StoreOperation::kHead, name}, stop,
                  [&] { return StoreDecorator::thaw_state(name, stop); });
  }
  ThawState request_thaw(const std::string& name, const ThawRequest& request,
                         const std::stop_token& stop) override {
    return repeat({StoreOperation::kPut, name}, stop,
                  [&] { return StoreDecorator::request_thaw(name, request, stop); });
  }
  VersioningState versioning_state(const std::stop_token& stop) override {
    return repeat({StoreOperation::kList, ""}, stop,
                  [&] { return StoreDecorator::versioning_state(stop); });
  }
  VersionsPage list_versions(const ListRequest& request, const std::stop_token& stop) override {
    return repeat({StoreOperation::kList, request.prefix}, stop,
                  [&] { return StoreDecorator::list_versions(request, stop); });
  }
  void remove_version(const std::string& name, const std::string& version,
                      const std::stop_token& stop) override {
    repeat({StoreOperation::kRemove, name}, stop,
           [&] { StoreDecorator::remove_version(name, version, stop); });
  }
  void copy_version(const std::string& name, const ObjectVersion& version,
                    const std::stop_token& stop) override {
    repeat({StoreOperation::kPut, name}, stop,
           [&] { StoreDecorator::copy_version(name, version, stop); });
  }
  Timestamp now(const std::stop_token& stop) override {
    return repeat({StoreOperation::kNow, ""}, stop, [&] { return inner().now(stop); });
  }

 private:
  struct Call {
    StoreOperation operation;
    std::string_view object;
  };

  template <class Work>
  std::invoke_result_t<Work&> repeat(const Call& call, const std::stop_token& stop, Work&& work) {
    const Pacer::TimePoint start = pacer_.now();
    for (unsigned attempt = 1;; ++attempt) {
      check_cancelled(stop);
      try {
        if constexpr (std::is_void_v<std::invoke_result_t<Work&>>) {
          work();
          return budget_->succeeded();
        } else {
          auto result = work();
          budget_->succeeded();
          return result;
        }
      } catch (Error& error) {
        if (!error.retryable()) throw;
        wait_or_give_up(call, error, attempt, pacer_.now() - start, stop);
      }
    }
  }

  void wait_or_give_up(const Call& call, Error& error, unsigned attempt, Pacer::Duration elapsed,
                       const std::stop_token& stop) {
    const Pacer::Duration delay = delay_after(attempt);
    if (attempt >= policy_.attempts || elapsed + delay > policy_.total_time || !budget_->take()) {
      if (attempt > 1) error.during(fmt::format("gave up after {} attempts", attempt));
      throw Error(error);
    }
    log(attempt <= kQuietAttempts ? LogLevel::kDebug : LogLevel::kWarning,
        "repository request failed and is tried again",
        {{"request", std::string(to_string(call.operation))},
         {"object", std::string(call.object)},
         {"attempt", std::to_string(attempt)},
         {"error", error.message()}});
    pacer_.sleep(delay, stop);
  }

  Pacer::Duration delay_after(unsigned attempt) {
    const auto doubled =
        policy_.first_delay * (std::int64_t{1} << std::min(attempt - 1, kMaxDoublings));
    const Pacer::Duration longest = std::min<std::chrono::milliseconds>(doubled, policy_.max_delay);
    const std::lock_guard lock(random_mutex_);
    return Pacer::Duration(
        std::uniform_int_distribution<Pacer::Duration::rep>(0, longest.count())(random_));
  }

  const RetryPolicy policy_;
  Pacer& pacer_;
  std::shared_ptr<RetryBudget> budget_;
  std::mutex random_mutex_;
  std::mt19937_64 random_;
};

}  // namespace

bool RetryBudget::take() {
  const std::lock_guard lock(mutex_);
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

void RetryBudget::succeeded() {
  const std::lock_guard lock(mutex_);
  tokens_ = std::min(capacity_, tokens_ + kRefund);
}

std::unique_ptr<ObjectStore> make_retry_store(std::unique_ptr<ObjectStore> inner,
                                              const RetryPolicy& policy,
                                              const RetryEnvironment& environment) {
  return std::make_unique<RetryStore>(std::move(inner), policy, environment);
}

}  // namespace holdfast
