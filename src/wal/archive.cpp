#include "wal/archive.h"

#include <algorithm>

#include "core/error.h"

namespace holdfast {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr int kGoodForTimes = 5;
constexpr std::chrono::milliseconds kGoodAtMost{500};

}  // namespace

Archive::Archive(std::string cluster, std::vector<ArchiveRepository> repositories)
    : cluster_(std::move(cluster)), repositories_(std::move(repositories)) {
  for (std::size_t i = 0; i < repositories_.size(); ++i) {
    slots_.push_back(std::make_unique<Slot>());
  }
}

Archive::~Archive() = default;

const Repository& Archive::repository(std::size_t index, const std::stop_token& stop) {
  Slot& slot = *slots_.at(index);
  const std::lock_guard lock(slot.mutex);
  if (!slot.repository) slot.repository = repositories_[index].open(stop);
  return *slot.repository;
}

ObjectStore& Archive::store(std::size_t index, const std::stop_token& stop) {
  if (!repositories_.at(index).open_store) return repository(index, stop).store();
  Slot& slot = *slots_.at(index);
  const std::lock_guard lock(slot.mutex);
  if (!slot.store) slot.store = repositories_[index].open_store();
  return *slot.store;
}

std::optional<RepositoryId> Archive::id_now(std::size_t index, const std::stop_token& stop) {
  const auto descriptor = store(index, stop).get(names::kDescriptor, stop);
  if (!descriptor) return std::nullopt;
  return check_container(*descriptor, names::kDescriptor).repository_id;
}

void Archive::require_same_repository(std::size_t index, const std::stop_token& stop) {
  const RepositoryId& opened = repository(index, stop).keys().repository_id;
  if (id_now(index, stop) == opened) return;
  throw Error(ErrorKind::kRefused, "another repository has taken the place of the one in use",
              {.object = about(index).url,
               .hint = "Is another file system mounted there, or was it made anew? With the right "
                       "one back in place PostgreSQL's next call goes on."});
}

void Archive::require_same_repository_lately(std::size_t index, const std::stop_token& stop) {
  Slot& slot = *slots_.at(index);
  const std::lock_guard lock(slot.asking);
  const auto began = SteadyClock::now();
  if (began < slot.same_until) return;
  require_same_repository(index, stop);
  slot.same_until = began + std::min<SteadyClock::duration>(
                                kGoodForTimes * (SteadyClock::now() - began), kGoodAtMost);
}

std::vector<HistoryRecord> Archive::histories(std::size_t index, const std::stop_token& stop) {
  const Repository& opened = repository(index, stop);
  Slot& slot = *slots_.at(index);
  const std::lock_guard lock(slot.mutex);
  if (!slot.histories) slot.histories = list_histories(opened, cluster_, stop);
  return *slot.histories;
}

void Archive::forget_histories() {
  for (const auto& slot : slots_) {
    const std::lock_guard lock(slot->mutex);
    slot->histories.reset();
  }
}

}  // namespace holdfast
