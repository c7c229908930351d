#include "storage/glacier_store.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <mutex>

#include "core/error.h"
#include "core/time.h"
#include "storage/store_decorator.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

std::int64_t now_ms() {
  return std::chrono::duration_cast<milliseconds>(system_clock().now().time_since_epoch()).count();
}

class GlacierStore final : public StoreDecorator {
 public:
  GlacierStore(std::unique_ptr<ObjectStore> inner, GlacierPlan plan)
      : StoreDecorator(std::move(inner)), plan_(std::move(plan)) {
    capabilities_ = StoreDecorator::capabilities();
    capabilities_.storage_classes = true;
  }

  std::optional<Bytes> get(const std::string& name, const std::stop_token& stop) override {
    refuse_frozen(name, stop);
    return inner().get(name, stop);
  }
  bool get_range(const std::string& name, std::uint64_t offset, MutableByteView out,
                 const std::stop_token& stop) override {
    refuse_frozen(name, stop);
    return inner().get_range(name, offset, out, stop);
  }
  std::optional<ObjectInfo> head(const std::string& name, const std::stop_token& stop) override {
    auto info = inner().head(name, stop);
    if (info && freezes(name)) info->storage_class = plan_.storage_class;
    return info;
  }
  ListPage list(const ListRequest& request, const std::stop_token& stop) override {
    ListPage page = inner().list(request, stop);
    for (ObjectInfo& object : page.objects) {
      if (freezes(object.name)) object.storage_class = plan_.storage_class;
    }
    return page;
  }
  std::optional<ThawState> thaw_state(const std::string& name,
                                      const std::stop_token& stop) override {
    if (!inner().head(name, stop)) return std::nullopt;
    const std::lock_guard lock(mutex_);
    return state_of(name);
  }
  ThawState request_thaw(const std::string& name, const ThawRequest& /*request*/,
                         const std::stop_token& /*stop*/) override {
    const std::lock_guard lock(mutex_);
    const ThawState state = state_of(name);
    if (state != ThawState::kFrozen) return state;
    std::ofstream file(plan_.requests, std::ios::app);
    file << now_ms() << ' ' << name << '\n';
    if (!file.flush()) throw_errno(errno, "note a request in", plan_.requests.string());
    return ThawState::kThawing;
  }
  const Capabilities& capabilities() const override { return capabilities_; }

 private:
  bool freezes(const std::string& name) const {
    return std::ranges::any_of(plan_.name_parts, [&](const std::string& part) {
      return name.find(part) != std::string::npos;
    });
  }

  ThawState state_of(const std::string& name) const {
    if (!freezes(name)) return ThawState::kReadable;
    std::ifstream file(plan_.requests);
    std::int64_t at = 0;
    std::string requested;
    while (file >> at >> requested) {
      if (requested != name) continue;
      return now_ms() - at >= plan_.thaw_time.count() ? ThawState::kReadable : ThawState::kThawing;
    }
    return ThawState::kFrozen;
  }

  void refuse_frozen(const std::string& name, const std::stop_token& stop) {
    if (!freezes(name) || thaw_state(name, stop).value_or(ThawState::kReadable) == kReadable)
      return;
    throw Error(ErrorKind::kRepository,
                fmt::format("get of {} failed: InvalidObjectState (the object is in a frozen "
                            "storage class)",
                            name),
                {.object = name,
                 .hint = "bring it back from its frozen storage class first: 'holdfast restore "
                         "--thaw' asks for what a backup needs"});
  }
  static constexpr ThawState kReadable = ThawState::kReadable;

  const GlacierPlan plan_;
  Capabilities capabilities_;
  std::mutex mutex_;
};

[[noreturn]] void refuse_plan(std::string_view text) {
  throw Error(ErrorKind::kUsage, fmt::format("\"{}\" does not say how to freeze", text),
              {.object = "HOLDFAST_STORE_GLACIER",
               .hint = "It is CLASS:MILLISECONDS:NAME_PART[,NAME_PART]:FILE."});
}

// Cuts the text before the first `mark` off.
std::string_view cut(std::string_view& text, char mark) {
  const std::size_t at = std::min(text.find(mark), text.size());
  const std::string_view before = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return before;
}

}  // namespace

GlacierPlan parse_glacier_plan(std::string_view text) {
  GlacierPlan plan;
  std::string_view rest = text;
  plan.storage_class = cut(rest, ':');
  const std::string_view time = cut(rest, ':');
  std::int64_t count = 0;
  const auto read = std::from_chars(time.data(), time.data() + time.size(), count);
  if (read.ec != std::errc() || read.ptr != time.data() + time.size()) refuse_plan(text);
  plan.thaw_time = milliseconds(count);
  for (std::string_view parts = cut(rest, ':'); !parts.empty();) {
    plan.name_parts.emplace_back(cut(parts, ','));
  }
  plan.requests = rest;
  if (plan.storage_class.empty() || plan.name_parts.empty() || rest.empty()) refuse_plan(text);
  return plan;
}

std::unique_ptr<ObjectStore> make_glacier_store(std::unique_ptr<ObjectStore> inner,
                                                GlacierPlan plan) {
  return std::make_unique<GlacierStore>(std::move(inner), std::move(plan));
}

}  // namespace holdfast
