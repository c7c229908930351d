#pragma once
// What archive-push's helper stored ahead of PostgreSQL's asking, one small file each in
// <state directory>/wal/push, so that the call that asks answers at once.
//
// An entry is believed only when everything that it binds is the same now: cluster, history of the
// server and whether its data directory names it, system identifier, the repositories by name, URL
// and their own id, and the content's hash, which the asking call makes anew from the file. A name
// alone would acknowledge another segment after the server was set back to an older state, and a
// URL alone one that was stored in a repository that is no more. What is in the repository may have
// been removed since, or the repository set back: the caller asks it for its id and for the object
// when the entry is older than kBelievedUnasked (wal/push.cpp), and entries are not believed for
// longer than kEntryLifetime. A young one is believed without asking, because two requests for each
// call are the most of what archiving to a distant store costs (docs/decisions/0019).
// Crashes: an entry is published by rename without fsync; one that was lost or is empty after a
//   power cut is as one that was never written, and the file is pushed again.
// Claims: a file that is being pushed is locked (flock), so that the call that asks waits for the
//   helper instead of doing its work a second time. Correctness does not rest on it.
// Errors: kHost. Threads: any.

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/time.h"
#include "repository/wal_object.h"
#include "system/files.h"

namespace holdfast {

inline constexpr std::chrono::minutes kEntryLifetime{5};
inline constexpr std::chrono::seconds kBelievedUnasked{10};

struct PushEntry {
  std::string cluster;
  HistoryName history;
  bool bound = false;  // the data directory names its history (kHistoryBinding)
  std::string file;
  Checksum128 content{};
  std::uint64_t bytes = 0;
  std::vector<std::string> stored_in;  // "name url id" of each repository that has it
  std::chrono::seconds age{0};         // of one that was found
};

// A file that this process pushes now; given back on destruction or when the process ends.
class PushClaim {
 public:
  PushClaim(FileLock lock, std::filesystem::path path)
      : lock_(std::move(lock)), path_(std::move(path)) {}
  PushClaim(PushClaim&& other) noexcept = default;
  PushClaim& operator=(PushClaim&& other) = delete;
  ~PushClaim();

 private:
  FileLock lock_;
  std::filesystem::path path_;
};

// Removes every entry: after a repository was created. Makes no folder.
void forget_pushed(const std::filesystem::path& state_directory);

class PushSpool {
 public:
  // Makes the folder.
  explicit PushSpool(const std::filesystem::path& state_directory);

  void remember(const PushEntry& entry);
  // The entry of a file, unless there is none, it is damaged or too old.
  std::optional<PushEntry> find(const std::string& file) const;
  bool has(const std::string& file) const;  // one that is not too old, whatever it says
  void forget(const std::string& file);
  // Entries and claims that nobody will ask for.
  void remove_outdated();

  // nullopt: another process pushes this file now.
  std::optional<PushClaim> try_claim(const std::string& file) const;

 private:
  std::filesystem::path entry_path(const std::string& file) const;
  std::filesystem::path folder_;
};

}  // namespace holdfast
