#pragma once
// What backups there are. One listing per history and one get per backup, in parallel.

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/error.h"
#include "repository/manifest.h"
#include "repository/outcome.h"
#include "repository/proof.h"
#include "repository/repository.h"

namespace holdfast {

enum class BackupState {
  kCommitted,
  kDamaged,     // its commit record exists but cannot be read; still listed (invariant 8)
  kUnfinished,  // running, or left behind by one that died
  kAborted,
  kExpiring,   // it has a tombstone: going to be deleted, or half deleted; nothing builds on it
  kPacksOnly,  // packs that other backups cite; its own was deleted, or never copied here
};

std::string_view to_string(BackupState state);  // "complete", as in the JSON form

struct CatalogueEntry {
  BackupName name;
  BackupState state = BackupState::kUnfinished;
  Outcome outcome;                   // of a committed one, and of an expiring one that has it yet
  std::string damage;                // what is wrong, of a damaged one
  std::optional<ProofRecord> proof;  // the last one; only where it was asked for (`show`)
};

// Whether an error from reading one object says that this object is unusable (damaged, of a newer
// format, of another key or repository), not that the store or this machine fails.
bool condemns_one_object(ErrorKind kind);

// Complete, damaged and expiring ones: those that people see as backups.
bool is_listed(BackupState state);

// Every backup of the cluster, oldest first, whatever its state.
std::vector<CatalogueEntry> list_backups(const Repository& repository, const std::string& cluster,
                                         const std::stop_token& stop);

// The committed backup that `wanted` means: an id, a name given with --name, "latest" or "oldest",
// which pass over safety backups of recovered copies.
// kNotFound when there is none, kRefused when two backups have the name or it is expiring, kDamage
// when its commit record is damaged, also where that is the latest or oldest one.
CatalogueEntry find_backup(const Repository& repository, const std::string& cluster,
                           const std::string& wanted, const std::stop_token& stop);
// The same for those who look at a backup and do not use it: a damaged or an expiring one is found
// too, by its id; "latest" and "oldest" are never expiring ones.
CatalogueEntry find_listed_backup(const Repository& repository, const std::string& cluster,
                                  const std::string& wanted, const std::stop_token& stop);

// Reads and authenticates the manifest root of a committed backup.
ManifestRoot read_manifest(const Repository& repository, const Outcome& outcome,
                           PackRegistry& registry, const std::stop_token& stop);
// What the block hashes of this manifest were made with: its own key, else the repository's.
PageHasher page_hasher_of(const Repository& repository, const ManifestRoot& root);

}  // namespace holdfast
