#pragma once
// WAL that archive-get's helper fetched ahead of recovery's asking, and what recovery asked for
// last: <state directory>/wal/get/<binding>/.
//
// A binding is one restore: cluster, data directory, the history that is read, and the repositories
// by name and URL. An entry is two files: the content under the WAL file's name, and
// "<name>.entry", published after it, which names the binding in full, the file, and the content's
// hash. take() believes it only when all of that is the same now, the entry is younger than
// kGetEntryLifetime and not of the future, and the bytes on disk have that hash. What it does not
// believe is removed. Absence is never noted here. Crashes: entries are published by rename; one
// that was lost is fetched again. Errors: kHost. Threads: any. The caller of archive-get treats
// every error as "not in the spool".

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/time.h"
#include "repository/wal_file.h"
#include "repository/wal_object.h"
#include "system/files.h"

namespace holdfast {

inline constexpr std::chrono::minutes kGetEntryLifetime{10};

struct GetBinding {
  std::string cluster;
  std::filesystem::path data_directory;  // absolute
  // How the history is told: "history 0001-…", else "data directory 0002-…" when that names it,
  // else "system 7340…".
  std::string line;
  std::vector<std::string> repositories;  // "name url"
  bool operator==(const GetBinding&) const = default;
};

struct GetEntry {
  std::string file;
  Checksum128 content{};
  std::uint64_t bytes = 0;
};

class GetSpool {
 public:
  // Makes no folder.
  GetSpool(const std::filesystem::path& state_directory, const GetBinding& binding);

  const std::filesystem::path& folder() const { return folder_; }
  void make_folder() const;
  // Removes every other binding's folder, and from this one what is outdated.
  void remove_others() const;
  void remove_all() const;

  // Moves the content to `destination`, which then is complete, synced and has exactly the bytes
  // that were authenticated. False when there is no such entry.
  bool take(const WalFileName& file, const std::filesystem::path& destination) const;

  std::filesystem::path content_path(const std::string& file) const { return folder_ / file; }
  void publish(const GetEntry& entry) const;  // once content_path() is complete and synced
  bool has(const std::string& file) const;    // an entry that is not about to be too old
  void remove(const std::string& file) const;
  std::vector<std::string> files() const;  // of all entries

  // What recovery asked for and got, or (in archive recovery) asks for now.
  void note_request(const WalFileName& file) const;
  struct Request {
    std::string file;
    std::chrono::system_clock::time_point at;
    std::uint64_t number = 0;  // another one for each request
  };
  std::optional<Request> last_request() const;
  // Whether another restore of this cluster asked for anything after `time`.
  bool others_ask_after(std::chrono::system_clock::time_point time) const;

  // A file that the helper fetches now.
  class Fetching {
   public:
    Fetching(FileLock lock, std::filesystem::path path)
        : lock_(std::move(lock)), path_(std::move(path)) {}
    Fetching(Fetching&&) noexcept = default;
    Fetching& operator=(Fetching&&) = delete;
    ~Fetching();

   private:
    FileLock lock_;
    std::filesystem::path path_;
  };
  std::optional<Fetching> begin_fetching(const std::string& file) const;
  bool is_being_fetched(const std::string& file) const;

 private:
  std::filesystem::path entry_path(const std::string& file) const;
  std::optional<GetEntry> read_entry(const std::string& file) const;

  const GetBinding binding_;
  const std::filesystem::path root_;
  const std::filesystem::path folder_;
};

// Held by the helper while it lives: <state directory>/wal/get.lock.
std::filesystem::path get_helper_lock(const std::filesystem::path& state_directory);

}  // namespace holdfast
