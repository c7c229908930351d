#include "expire/object_remover.h"

#include "core/error.h"
#include "core/fault_point.h"

namespace holdfast {
namespace {
constexpr std::size_t kRemovedAtOnce = 1000;
}

void ObjectRemover::add(const ObjectInfo& object) {
  batch_.push_back(object.name);
  batch_bytes_ += object.size;
  if (batch_.size() == kRemovedAtOnce) flush();
}

bool ObjectRemover::flush() {
  if (batch_.empty()) return true;
  const auto failures = store_.remove_many(batch_, stop_);
  for (const RemoveFailure& failure : failures) {
    if (counts_.failed++ == 0) counts_.failed_example = failure.name + ": " + failure.reason;
  }
  counts_.objects += batch_.size() - failures.size();
  if (failures.empty()) counts_.bytes += batch_bytes_;
  batch_.clear();
  batch_bytes_ = 0;
  fault_point("expire.objects_removed");
  return failures.empty();
}

bool ObjectRemover::remove_now(const std::string& name) {
  flush();
  const auto object = store_.head(name, stop_);
  if (!object) return true;
  add(*object);
  return flush();
}

void ObjectRemover::note_foreign(const ObjectInfo& object) {
  if (counts_.foreign++ == 0) counts_.foreign_example = object.name;
}

}  // namespace holdfast
