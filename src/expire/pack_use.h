#pragma once
// Which packs of some folders the manifests that count cite: a bit for each pack.
//
// Errors: kRefused when the manifest of a backup that counts cannot be read, because nobody knows
// then what it cites; those of the store. A manifest that vanished is fine where the backup's
// tombstone says "deleting" by now. Memory: the bits, and a few manifest roots at a time.
// Threads: one call at a time.

#include <cstdint>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "expire/expire_survey.h"

namespace holdfast {

// More packs than any backup has: 512 TiB of packs of 32 MiB.
inline constexpr std::uint32_t kMaxPackNumber = 1U << 24U;

class PackUse {
 public:
  // Notes citations of packs in these folders.
  explicit PackUse(const std::vector<BackupName>& folders);

  // Reads the manifests of these backups and notes what they cite.
  void read_manifests(const Repository& repository, const std::vector<const BackupFolder*>& backups,
                      const std::stop_token& stop);
  // The same of one that lost its commit record. False when its manifest cannot be read.
  bool read_lost(const Repository& repository, const BackupFolder& backup,
                 const std::stop_token& stop);

  bool is_cited(const BackupName& folder, names::PackKind kind, std::uint32_t number) const;
  bool is_any_cited(const BackupName& folder) const;
  // What backups with a damaged or a lost commit record say of themselves in their manifests.
  const std::vector<BackupInfo>& facts_of_damaged() const { return facts_of_damaged_; }

 private:
  struct Bits {
    std::vector<bool> data, map;
    bool any = false;
  };
  void note(const ManifestRoot& root, const PackRegistry& registry);
  void read_one(const Repository& repository, const BackupFolder& backup,
                const std::stop_token& stop);

  std::map<std::string, Bits> folders_;
  std::vector<BackupInfo> facts_of_damaged_;
  std::mutex mutex_;
};

}  // namespace holdfast
