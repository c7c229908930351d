#include "expire/freed_bytes.h"

#include <algorithm>
#include <map>
#include <optional>

#include "core/error.h"
#include "expire/pack_use.h"

namespace holdfast {
namespace {

struct ReadManifest {
  PackRegistry registry;
  ManifestRoot root;
};

// False when it has none that can be read.
bool read(const Repository& repository, const BackupFolder& backup, ReadManifest& into,
          const std::stop_token& stop) {
  if (!backup.damage.empty()) return false;
  try {
    into.root = read_manifest(repository, backup.outcome, into.registry, stop);
    return true;
  } catch (const Error& error) {
    if (!condemns_one_object(error.kind())) throw;
    return false;
  }
}

class FreedBytes {
 public:
  FreedBytes(const Repository& repository, const ExpireSurvey& survey,
             const std::vector<BackupName>& going, const std::stop_token& stop)
      : repository_(repository), survey_(survey), stop_(stop) {
    for (const BackupFolder& folder : survey.folders) {
      const bool goes = std::ranges::find(going, folder.name) != going.end();
      if (goes) going_.push_back(&folder);
      if (!goes && folder.counts()) staying_.push_back(&folder);
      if (goes || !folder.counts()) emptied_.push_back(folder.name);
    }
  }

  std::uint64_t count() {
    PackUse needed(emptied_);
    needed.read_manifests(repository_, staying_, stop_);
    std::uint64_t bytes = 0;
    for (const BackupFolder* backup : going_) {
      ReadManifest manifest;
      if (!read(repository_, *backup, manifest, stop_)) continue;
      if (const auto object = repository_.store().head(names::manifest(backup->name), stop_)) {
        bytes += object->size;
      }
      for (const CitedPack& cited : manifest.root.packs) {
        const PackRef& pack = manifest.registry.at(cited.pack);
        const BackupName folder{survey_.cluster, pack.history, pack.backup};
        if (std::ranges::find(emptied_, folder) == emptied_.end()) continue;
        if (needed.is_cited(folder, pack.kind, pack.number)) continue;
        if (count_once(folder, pack)) bytes += cited.bytes;
      }
    }
    return bytes;
  }

 private:
  // False when another of those that go cites it too.
  bool count_once(const BackupName& folder, const PackRef& pack) {
    if (pack.number > kMaxPackNumber) return false;
    auto& bits = counted_[{names::backup_prefix(folder), pack.kind}];
    if (bits.size() <= pack.number) bits.resize(std::size_t{pack.number} + 1);
    if (bits[pack.number]) return false;
    bits[pack.number] = true;
    return true;
  }

  const Repository& repository_;
  const ExpireSurvey& survey_;
  const std::stop_token& stop_;
  std::vector<const BackupFolder*> going_, staying_;
  std::vector<BackupName> emptied_;
  std::map<std::pair<std::string, names::PackKind>, std::vector<bool>> counted_;
};

}  // namespace

std::uint64_t freed_bytes(const Repository& repository, const ExpireSurvey& survey,
                          const std::vector<BackupName>& going, const std::stop_token& stop) {
  return FreedBytes(repository, survey, going, stop).count();
}

std::uint64_t bytes_freed_by_deleting(const Repository& repository, const BackupName& backup,
                                      const std::stop_token& stop) {
  const ExpireSurvey survey = survey_folders(repository, backup.cluster, stop);
  return freed_bytes(repository, survey, {backup}, stop);
}

}  // namespace holdfast
