#include "expire/pack_use.h"

#include <algorithm>

#include "core/error.h"
#include "core/parallel.h"

namespace holdfast {
namespace {

// A manifest root of a large cluster takes some megabytes.
constexpr std::size_t kManifestReaders = 4;

bool is_being_deleted(const Repository& repository, const BackupFolder& backup,
                      const std::stop_token& stop) {
  const auto last = last_tombstone(repository, backup.name, stop);
  if (!last) return false;
  try {
    return read_tombstone(repository, *last, stop).state == TombstoneState::kDeleting;
  } catch (const Error& error) {
    if (!condemns_one_object(error.kind())) throw;
    // Half removed by a run that had won "deleting": without a manifest it is no backup any more.
    return !repository.store().head(names::manifest(backup.name), stop);
  }
}

// A damaged or lost commit record does not tell the hash of its manifest; the manifest's own
// checksum has to do.
Outcome outcome_for_manifest(const Repository& repository, const BackupFolder& backup,
                             const std::stop_token& stop) {
  if (backup.is_backup && backup.damage.empty()) return backup.outcome;
  Outcome outcome;
  outcome.info.name = backup.name;
  if (const auto object = repository.store().get(names::manifest(backup.name), stop)) {
    outcome.manifest_sha256 = to_hex(sha256(*object));
  }
  return outcome;
}

}  // namespace

PackUse::PackUse(const std::vector<BackupName>& folders) {
  for (const BackupName& folder : folders) folders_.try_emplace(names::backup_prefix(folder));
}

void PackUse::note(const ManifestRoot& root, const PackRegistry& registry) {
  for (const CitedPack& cited : root.packs) {
    const PackRef& pack = registry.at(cited.pack);
    const auto folder =
        folders_.find(names::backup_prefix({root.info.name.cluster, pack.history, pack.backup}));
    if (folder == folders_.end()) continue;
    if (pack.number > kMaxPackNumber) {
      throw Error(ErrorKind::kDamage, "the manifest cites a pack whose number makes no sense",
                  {.object = names::manifest(root.info.name)});
    }
    auto& bits = pack.kind == names::PackKind::kData ? folder->second.data : folder->second.map;
    if (bits.size() <= pack.number) bits.resize(std::size_t{pack.number} + 1);
    bits[pack.number] = true;
    folder->second.any = true;
  }
}

void PackUse::read_one(const Repository& repository, const BackupFolder& backup,
                       const std::stop_token& stop) {
  PackRegistry registry;
  const ManifestRoot root =
      read_manifest(repository, outcome_for_manifest(repository, backup, stop), registry, stop);
  const std::lock_guard lock(mutex_);
  note(root, registry);
  if (!backup.is_backup || !backup.damage.empty()) facts_of_damaged_.push_back(root.info);
}

bool PackUse::read_lost(const Repository& repository, const BackupFolder& backup,
                        const std::stop_token& stop) {
  try {
    read_one(repository, backup, stop);
    return true;
  } catch (const Error& error) {
    if (!condemns_one_object(error.kind())) throw;
    return false;
  }
}

void PackUse::read_manifests(const Repository& repository,
                             const std::vector<const BackupFolder*>& backups,
                             const std::stop_token& stop) {
  parallel_for(
      backups.size(), kManifestReaders, stop, [&](std::size_t i, const std::stop_token& inner) {
        const BackupFolder& backup = *backups[i];
        try {
          read_one(repository, backup, inner);
        } catch (const Error& error) {
          if (!condemns_one_object(error.kind())) throw;
          if (is_being_deleted(repository, backup, inner)) return;
          throw Error(
              ErrorKind::kRefused,
              fmt::format("the manifest of backup {} cannot be read, so nobody knows which packs "
                          "it needs; nothing was removed: {}",
                          backup.name.id.text, error.message()),
              {.object = names::manifest(backup.name),
               .hint = "Bring the object back from another copy of the repository. If the backup "
                       "is lost, say so with 'holdfast delete " +
                       backup.name.id.text + "'."});
        }
      });
}

bool PackUse::is_cited(const BackupName& folder, names::PackKind kind, std::uint32_t number) const {
  const auto found = folders_.find(names::backup_prefix(folder));
  HF_INVARIANT(found != folders_.end());
  const auto& bits = kind == names::PackKind::kData ? found->second.data : found->second.map;
  return number < bits.size() && bits[number];
}

bool PackUse::is_any_cited(const BackupName& folder) const {
  const auto found = folders_.find(names::backup_prefix(folder));
  HF_INVARIANT(found != folders_.end());
  return found->second.any;
}

}  // namespace holdfast
