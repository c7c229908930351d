#pragma once
// Brings the other repositories up to date with the first: what archive-push need not wait for, and
// what was missed while a repository could not be reached, however long.
//
// How: for each history and timeline, the two listings are compared, and what only the first has is
// copied, oldest first (repository/wal_object.h: copy_wal). Listings begin where everything was
// there last time, less kRelistedObjects, because files do not become durable in the order of their
// names; every kCompareAll everything is compared.
//   A name proves nothing: of each timeline, the newest segment that both have is compared by its
//   content once. Where it is the same, what lies before it is too, because a line of WAL that was
//   left once is never met again.
// What the other one's retention removes is not brought back: what its newest mark of WAL names
//   (repository/wal_mark.h) is not missing there. Where that mark cannot be read, everything is.
// Guarantees: nothing in any repository is replaced; nothing is added to one that has another
// line's
//   segments under this line's names; and a repository that took the place of the one that was
//   opened gets nothing once it was asked who it is, half a second later at most (wal/archive.h). A
//   history that the other repository does not know is not copied, but reported.
// Errors: none; what goes wrong stands in the repository's lag (wal/lag.h). Cancellation: throws
//   kCancelled. Memory: kMissingMax names; two objects for each job.
// Threads: one at a time for each object.

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "repository/wal_file.h"
#include "wal/archive.h"
#include "wal/lag.h"

namespace holdfast {

inline constexpr std::size_t kRelistedObjects = 256;
inline constexpr std::chrono::hours kCompareAll{6};

struct CatchUpOptions {
  std::filesystem::path state_directory;
  std::size_t jobs = 1;
  std::function<void()> progressed = [] {};  // after each copy, from any thread
  const Clock& clock = system_clock();
};

class CatchUp {
 public:
  // Repository `index` (> 0) of the archive.
  CatchUp(Archive& archive, std::size_t index, CatchUpOptions options);

  // One round: compares, copies, writes the lag. True when nothing is missing afterwards.
  bool round(const std::stop_token& stop);
  const RepositoryLag& lag() const { return lag_; }

 private:
  struct Missing {
    std::vector<std::string> objects;  // the first kMissingMax, oldest first
    std::uint64_t count = 0;
    std::map<std::string, std::string> complete_until, there_until, first_until;
  };
  RepositoryLag known() const;
  void require_same_repositories(const std::stop_token& stop);
  bool compare_all() const;
  Missing compare(const std::stop_token& stop);
  void compare_timeline(const WalPlace& place, TimelineId timeline, Missing& missing,
                        const std::stop_token& stop);
  void compare_content(const std::string& prefix, const std::string& object,
                       const std::stop_token& stop);
  Missing count_without_asking(const std::stop_token& stop);
  std::uint64_t copy(const std::vector<std::string>& objects, const std::stop_token& stop);
  void note(const Missing& missing, std::uint64_t copied, std::string failure);

  Archive& archive_;
  const std::size_t index_;
  const CatchUpOptions options_;
  RepositoryLag lag_;
  std::map<std::string, std::string> same_until_;  // by prefix, the last one that was compared
};

}  // namespace holdfast
