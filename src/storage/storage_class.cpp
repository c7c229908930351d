#include "storage/storage_class.h"

namespace holdfast {
namespace {

constexpr std::string_view kDeepArchive = "DEEP_ARCHIVE";

}  // namespace

bool is_frozen_class(std::string_view storage_class) {
  return storage_class == "GLACIER" || storage_class == kDeepArchive;
}

std::optional<std::string_view> thaw_time(std::string_view storage_class, ThawSpeed speed) {
  const bool deep = storage_class == kDeepArchive;
  switch (speed) {
    case ThawSpeed::kBulk:
      return deep ? "up to 48 hours" : "5 to 12 hours";
    case ThawSpeed::kStandard:
      return deep ? "up to 12 hours" : "3 to 5 hours";
    case ThawSpeed::kExpedited:
      break;
  }
  if (deep) return std::nullopt;
  return "1 to 5 minutes";
}

std::string_view to_string(ThawSpeed speed) {
  switch (speed) {
    case ThawSpeed::kBulk:
      return "bulk";
    case ThawSpeed::kStandard:
      return "standard";
    case ThawSpeed::kExpedited:
      break;
  }
  return "expedited";
}

std::optional<ThawState> thaw_state(ObjectStore& store, const std::string& name,
                                    const std::stop_token& stop) {
  if (auto* thawing = dynamic_cast<Thawing*>(&store)) return thawing->thaw_state(name, stop);
  return store.head(name, stop) ? std::optional(ThawState::kReadable) : std::nullopt;
}

ThawState request_thaw(ObjectStore& store, const std::string& name, const ThawRequest& request,
                       const std::stop_token& stop) {
  if (auto* thawing = dynamic_cast<Thawing*>(&store)) {
    return thawing->request_thaw(name, request, stop);
  }
  return ThawState::kReadable;
}

}  // namespace holdfast
