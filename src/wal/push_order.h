#pragma once
// The order in which archive-push's helper may store files: that of PostgreSQL's asking. Reading
// and compressing may run ahead of it, storing may not: after a server was set back to an older
// state, the first file that the archive has with other content is refused, and what comes behind
// it must not get in either, or the history would mix two lines of WAL.
//
// Rule: a file's turn has come when the file before it in the listing, and a segment's predecessor
// by
//   name, which a listing may just have missed, are settled: PostgreSQL has its
//   acknowledgement (it is not .ready any more), or this helper stored it and the file in pg_wal is
//   still the very same (inode, size, time of change), and the file itself is still the one that
//   was read. A file that nobody is working on, because it failed or was refused, is no reason to
//   wait: the files behind it are given up until they are listed again.
// Errors: none. Threads: any. Memory: the names of one listing.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/wal_position.h"
#include "wal/file_version.h"
#include "wal/work_queue.h"

namespace holdfast {

class PushOrder {
 public:
  // `queue` says which files this helper is working on.
  PushOrder(const std::filesystem::path& data_directory, WalSegmentSize segment_size,
            const WorkQueue& queue);

  // What waits for archiving, in PostgreSQL's order.
  void list(const std::vector<std::string>& files);
  // Whether the file's turn has come, or may come soon.
  bool is_near(const std::string& file) const;
  // True when the turn of the file that was read as `version` has come; false when it will not.
  bool wait_for_turn(const std::string& file, const FileVersion& version,
                     const std::stop_token& stop) const;
  void stored(const std::string& file, const FileVersion& version);
  // Whether the segment before, as it lies in pg_wal, was stored by this helper just before: then
  // what the archive has in front of `file` is this server's.
  bool follows_stored(const std::string& file) const;
  // Another process is pushing it now.
  void is_elsewhere(const std::string& file);

 private:
  enum class Turn { kNow, kSoon, kNotYet };  // the later one counts
  Turn turn_of(const std::string& file) const;
  Turn turn_behind(const std::string& before) const;
  std::string segment_before(const std::string& file) const;  // empty: there is none
  bool is_settled(const std::string& file) const;
  bool is_ready(const std::string& file) const;

  const std::filesystem::path wal_;
  const WalSegmentSize segment_size_;
  const WorkQueue& queue_;
  mutable std::mutex mutex_;
  std::map<std::string, std::string> before_;  // the file before each listed one; first: empty
  std::map<std::string, FileVersion> stored_;
  std::pair<std::string, std::optional<FileVersion>> last_segment_;  // that was stored
  std::map<std::string, std::chrono::steady_clock::time_point> elsewhere_;
};

}  // namespace holdfast
