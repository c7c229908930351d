#pragma once
// Copies archived WAL between two repositories: what one backup needs, or all that follows it. Or
// only counts what it would copy.
//
// Nothing in the target is replaced: a segment that is there with other content is kRefused,
// because the two repositories then hold different lines under one name. Of what a backup needs,
// also files that are there already are compared, by the hash in their heads; of what follows, only
// those that are missing are looked at. Counting goes by names alone. Errors: kDamage when the
// source lacks a file that the backup needs, or it is damaged; kRefused; those of the stores.
// Memory: one WAL object for each job, twice; of counted ones, 8 bytes each. Threads: one call at a
// time.

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "copy/copy.h"
#include "repository/history.h"
#include "repository/wal_search.h"

namespace holdfast {

struct WalCounts {
  std::uint64_t copied = 0, there = 0;  // files
};

class WalCopier {
 public:
  // `counted`: counts only, and lists each timeline once for all that share it; nullptr: copies.
  WalCopier(const CopySides& sides, const BackupInfo& backup, const CopyOptions& options,
            CountedWal* counted)
      : sides_(sides), backup_(backup), options_(options), counted_(counted) {}

  // The segments from the backup's start to its stop and the history file of its timeline. `line`
  // is that of the backup's history; the target knows the histories in it.
  void needed(const WalLine& line, const std::stop_token& stop);
  // Everything that CopiedWal::kOnward means, in these histories.
  void onward(const std::vector<HistoryName>& histories, const std::stop_token& stop);
  // Of both, each file once.
  WalCounts counts() const { return {copied_, there_}; }

 private:
  void ensure(const WalLine& line, const WalFileName& file, const std::stop_token& stop);
  bool ensure_object(const std::string& object, const std::stop_token& stop);
  void note(const std::string& object, std::atomic<std::uint64_t>& count);
  void count_timeline(const std::string& prefix, const std::stop_token& stop);
  CountedTimeline list_timeline(const std::string& prefix, const std::stop_token& stop) const;
  void copy_timeline(const std::string& prefix, const std::stop_token& stop);
  void copy_missing(const std::vector<std::string>& missing, const std::stop_token& stop);

  const CopySides& sides_;
  const BackupInfo& backup_;
  const CopyOptions& options_;
  CountedWal* const counted_;
  std::atomic<std::uint64_t> copied_{0}, there_{0};
  std::mutex mutex_;  // guards needed_
  // Objects that were counted as needed, each with the count that it is in.
  std::map<std::string, std::atomic<std::uint64_t>*> needed_;
};

// kDamage: the archive lacks a file that a backup on `line` needs.
Error lacks_needed_wal(const WalLine& line, const WalFileName& file);

}  // namespace holdfast
