#pragma once
// The same backup in other repositories: what stands in for a chunk that is damaged or missing.
//
// The same backup is one of the same id, history, timeline, start and stop, committed there: a
// copy, or what a repository was copied from. It may lie in other packs there, so what
// stands in is not a chunk but the content of a part of a file, read through that repository's own
// manifest: authenticated with its keys, and every block compared with its own hash. Whoever asks
// compares it with the hash in the manifest that it has.
// Repositories are opened when they are first needed; one that fails is not asked again.
// Errors: the damage that was told, where nothing stands in; kCancelled.
// Threads: any, one after another: damage is rare, and a repository that lost a lot had better be
//   restored from the other one. Memory: one chunk for each repository.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/error.h"
#include "repository/catalogue.h"
#include "repository/file_reader.h"

namespace holdfast {

struct StandInRepository {
  std::string name;  // in the configuration
  std::function<std::shared_ptr<const Repository>(const std::stop_token&)> open;
};

// For people: what was damaged, and what stood in for it.
struct StoodIn {
  std::string object;      // the first that was damaged, of the backup's own repository
  std::string problem;     // what was wrong with it
  std::string repository;  // whose content was taken instead
  std::uint64_t bytes = 0;
};
std::string describe(const StoodIn& stood_in);

class StandIns {
 public:
  explicit StandIns(std::vector<StandInRepository> others);
  ~StandIns();

  struct Part {
    const BackupInfo& backup;
    const std::string& path;
    FileRange range;
  };
  struct Damage {
    const Error& error;
    std::string object;
  };
  // The content of the part. Throws `damage.error` when no other repository has it.
  Bytes replace(const Part& part, const Damage& damage, const std::stop_token& stop);

  // Another repository's whole backup, for one whose manifest is damaged. nullopt when there is
  // none, or when content was asked for that none has: then a manifest is not what is missing.
  struct Whole {
    std::string name;
    std::shared_ptr<const Repository> repository;
    CatalogueEntry backup;
  };
  std::optional<Whole> whole(const BackupInfo& backup, const std::stop_token& stop);

  // One for each damaged object, in their order.
  std::vector<StoodIn> stood_in() const;
  const std::vector<StandInRepository>& others() const { return others_; }

 private:
  struct Twin;
  Twin* twin(std::size_t index, const BackupInfo& backup, const std::stop_token& stop);

  const std::vector<StandInRepository> others_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Twin>> twins_;  // of each, once it was looked for
  std::map<std::string, StoodIn> stood_in_;   // by object
  bool exhausted_ = false;
};

}  // namespace holdfast
