#include "app/thaw.h"

#include <chrono>

#include <fmt/format.h>

namespace holdfast {
namespace {

void require_consent(const ColdObjects& cold, const ThawChoice& choice) {
  if (cold.requested == cold.objects.size()) return;
  if (choice.speed && choice.confirmed == Confirmed::kYes) return;
  throw Error(ErrorKind::kRefused,
              fmt::format("{} must be thawed before they can be read", describe(cold)),
              {.object = cold.objects.front().name,
               .hint = fmt::format("S3 bills for that. It takes: {}. Add --thaw SPEED --yes to "
                                   "this command; it asks for them, "
                                   "waits, and goes on by itself.",
                                   describe_thaw_times(cold.storage_class))});
}

}  // namespace

ColdObjects cold_objects(const Repository& repository, const std::vector<CatalogueEntry>& backups,
                         const std::stop_token& stop) {
  ColdObjects cold;
  if (!repository.store().capabilities().storage_classes) return cold;
  for (const CatalogueEntry& backup : backups) {
    if (backup.state != BackupState::kCommitted) continue;
    try {
      PackRegistry registry;
      const ManifestRoot root = read_manifest(repository, backup.outcome, registry, stop);
      append(cold, cold_packs(repository, root, registry, stop));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kDamage) throw;
    }
  }
  return cold;
}

std::optional<Thawed> bring_back(const Repository& repository, ColdObjects cold,
                                 const ThawChoice& choice, Progress& progress,
                                 const std::stop_token& stop) {
  if (cold.empty()) return std::nullopt;
  require_consent(cold, choice);
  const auto began = std::chrono::steady_clock::now();
  Thawed thawed{
      .objects = cold.objects.size(), .bytes = cold.bytes, .storage_class = cold.storage_class};
  thaw(repository, std::move(cold), {.speed = choice.speed.value_or(ThawSpeed::kStandard)},
       progress, stop);
  thawed.waited_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  return thawed;
}

}  // namespace holdfast
