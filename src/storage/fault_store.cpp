#include "storage/fault_store.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <random>
#include <type_traits>

#include "core/error.h"
#include "storage/pacer.h"
#include "storage/store_decorator.h"

namespace holdfast {
namespace {

constexpr std::chrono::milliseconds kScriptedDelay{50};

struct Fault {
  FaultEffect effect;
  std::chrono::milliseconds delay;
};

[[noreturn]] void throw_fault(const Fault& fault, const FaultCall& call) {
  const bool retryable = fault.effect == FaultEffect::kFail || fault.effect == FaultEffect::kLost;
  const std::string_view what = fault.effect == FaultEffect::kDiskFull ? "No space left on device"
                                : fault.effect == FaultEffect::kDeny   ? "access denied"
                                : fault.effect == FaultEffect::kLost   ? "connection lost"
                                                                       : "service unavailable";
  throw Error(
      ErrorKind::kRepository,
      fmt::format("cannot {} {}: {} (injected)", to_string(call.operation), call.name, what),
      {.object = std::string(call.name),
       .hint = "HOLDFAST_STORE_FAULTS or a test asked for this fault.",
       .retryable = retryable});
}

class FaultStore final : public StoreDecorator {
 public:
  FaultStore(std::unique_ptr<ObjectStore> inner, FaultPlan plan)
      : StoreDecorator(std::move(inner)),
        plan_(std::move(plan)),
        matches_(plan_.rules.size()),
        random_(plan_.seed) {}

  PutOutcome put(const std::string& name, ByteView content, const PutOptions& options,
                 const std::stop_token& stop) override {
    return meddle(StoreOperation::kPut, name, stop,
                  [&] { return inner().put(name, content, options, stop); });
  }

  std::optional<Bytes> get(const std::string& name, const std::stop_token& stop) override {
    return meddle(
        StoreOperation::kGet, name, stop, [&] { return inner().get(name, stop); },
        [&](FaultEffect effect, std::optional<Bytes>& content) {
          if (!content || content->empty()) return;
          if (effect == FaultEffect::kTruncate) content->resize(content->size() / 2);
          if (effect == FaultEffect::kFlip) flip_a_bit(*content);
        });
  }

  bool get_range(const std::string& name, std::uint64_t offset, MutableByteView out,
                 const std::stop_token& stop) override {
    return meddle(
        StoreOperation::kGetRange, name, stop,
        [&] { return inner().get_range(name, offset, out, stop); },
        [&](FaultEffect effect, bool found) {
          if (found && effect == FaultEffect::kFlip) flip_a_bit(out);
          if (found && effect == FaultEffect::kTruncate) {
            throw Error(ErrorKind::kDamage, fmt::format("{} ends too early (injected)", name),
                        {.object = name});
          }
        });
  }

  std::optional<ObjectInfo> head(const std::string& name, const std::stop_token& stop) override {
    return meddle(StoreOperation::kHead, name, stop, [&] { return inner().head(name, stop); });
  }
  ListPage list(const ListRequest& request, const std::stop_token& stop) override {
    return meddle(StoreOperation::kList, request.prefix, stop,
                  [&] { return inner().list(request, stop); });
  }
  void remove(const std::string& name, const std::stop_token& stop) override {
    meddle(StoreOperation::kRemove, name, stop, [&] {
      inner().remove(name, stop);
      return true;
    });
  }
  std::vector<RemoveFailure> remove_many(const std::vector<std::string>& names,
                                         const std::stop_token& stop) override {
    return meddle(StoreOperation::kRemoveMany, names.empty() ? "" : names.front(), stop,
                  [&] { return inner().remove_many(names, stop); });
  }
  Timestamp now(const std::stop_token& stop) override {
    return meddle(StoreOperation::kNow, "", stop, [&] { return inner().now(stop); });
  }

 private:
  struct NoDamage {
    void operator()(FaultEffect, const auto&) const {}
  };

  template <class Work, class Damage = NoDamage>
  std::invoke_result_t<Work&> meddle(StoreOperation operation, std::string_view name,
                                     const std::stop_token& stop, Work&& work,
                                     const Damage& damage = {}) {
    const FaultCall call{operation, name, count(operation)};
    const std::optional<Fault> fault = choose(call);
    if (!fault) return work();
    switch (fault->effect) {
      case FaultEffect::kFail:
      case FaultEffect::kDeny:
      case FaultEffect::kDiskFull:
        throw_fault(*fault, call);
      case FaultEffect::kLost:
        work();
        throw_fault(*fault, call);
      case FaultEffect::kDelay:
        system_pacer().sleep(fault->delay, stop);
        return work();
      case FaultEffect::kTruncate:
      case FaultEffect::kFlip:
        break;
    }
    auto result = work();
    damage(fault->effect, result);
    return result;
  }

  std::uint64_t count(StoreOperation operation) {
    const std::lock_guard lock(mutex_);
    return ++counts_[static_cast<std::size_t>(operation)];
  }

  std::optional<Fault> choose(const FaultCall& call) {
    // Without the lock: a script may wait for another request.
    if (plan_.script) {
      if (const auto effect = plan_.script(call)) return Fault{*effect, kScriptedDelay};
    }
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < plan_.rules.size(); ++i) {
      const FaultRule& rule = plan_.rules[i];
      if (rule.operation && *rule.operation != call.operation) continue;
      if (call.name.find(rule.name_part) == std::string_view::npos) continue;
      const std::uint64_t match = ++matches_[i];
      if (rule.first > 0 && (match < rule.first || match - rule.first >= rule.times)) continue;
      if (std::uniform_real_distribution<double>(0, 1)(random_) >= rule.probability) continue;
      return Fault{rule.effect, rule.delay};
    }
    return std::nullopt;
  }

  void flip_a_bit(MutableByteView bytes) {
    const std::lock_guard lock(mutex_);
    const std::uint64_t bit = random_() % (bytes.size() * 8);
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
  }

  const FaultPlan plan_;
  std::mutex mutex_;
  std::array<std::uint64_t, kStoreOperationNames.size()> counts_{};
  std::vector<std::uint64_t> matches_;
  std::mt19937_64 random_;
};

}  // namespace

std::unique_ptr<ObjectStore> make_fault_store(std::unique_ptr<ObjectStore> inner, FaultPlan plan) {
  return std::make_unique<FaultStore>(std::move(inner), std::move(plan));
}

}  // namespace holdfast
