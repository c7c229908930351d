#include "repository/sweep.h"

#include <algorithm>

#include "core/error.h"
#include "repository/intent.h"
#include "storage/leftovers.h"

namespace holdfast {
namespace {

constexpr std::size_t kBatch = 1000;

bool is_dead(const Repository& repository, const BackupName& backup, const SweepScope& scope,
             const std::stop_token& stop) {
  try {
    const auto begin = read_begin(repository, backup, stop);
    if (begin && begin->host == scope.host && begin->data_directory == scope.data_directory) {
      return true;
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kDamage) throw;
  }
  Timestamp last_sign{};
  for_each_object(
      repository.store(), names::backup_prefix(backup), stop,
      [&](const ObjectInfo& object) { last_sign = std::max(last_sign, object.modified); });
  return repository.store().now(stop) - last_sign > kQuietTime;
}

void remove_objects(const Repository& repository, const BackupName& backup, SweepResult& result,
                    const std::stop_token& stop) {
  ObjectStore& store = repository.store();
  std::vector<std::string> batch;
  const auto flush = [&] {
    for (const RemoveFailure& failure : store.remove_many(batch, stop)) {
      result.not_removed.push_back(failure.name);
    }
    batch.clear();
  };
  for_each_object(store, names::backup_prefix(backup), stop, [&](const ObjectInfo& object) {
    if (object.name == names::begin(backup) || object.name == names::outcome(backup)) return;
    batch.push_back(object.name);
    if (batch.size() == kBatch) flush();
  });
  if (!batch.empty()) flush();
  remove_leftovers(store, names::backup_prefix(backup), stop);
}

}  // namespace

SweepResult sweep_dead_backups(const Repository& repository,
                               const std::vector<CatalogueEntry>& backups, const SweepScope& scope,
                               const std::stop_token& stop) {
  SweepResult result;
  for (const CatalogueEntry& entry : backups) {
    if (entry.state != BackupState::kUnfinished) continue;
    if (!list_proofs(repository, entry.name, stop).empty()) {
      result.lost_commit.push_back(entry.name.id.text);
      continue;
    }
    if (!is_dead(repository, entry.name, scope, stop)) continue;
    if (!abort_backup(repository, entry.name, scope.host, stop)) continue;
    // In this order, as a deletion does (repository/intent.h): whoever was going to cite its packs
    // is seen here, or sees the abort.
    if (!list_intents(repository, entry.name, stop).empty()) {
      result.cited.push_back(entry.name.id.text);
      continue;
    }
    remove_objects(repository, entry.name, result, stop);
    result.swept.push_back(entry.name.id.text);
  }
  return result;
}

}  // namespace holdfast
