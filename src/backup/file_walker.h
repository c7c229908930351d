#pragma once
// Walks a data directory in manifest order (path_before) and reports what a backup carries.
// Memory: the names in the folders on the way down to the current file. A file or folder that
// vanishes while the walk is on is passed over: the server dropped it, and the WAL says so.

#include <functional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "backup/data_source.h"
#include "postgres/data_files.h"

namespace holdfast {

struct WalkedFile {
  std::string path;
  SourceStat stat;
};

class FileWalker {
 public:
  // `tablespaces`: oids of those that there were when the backup began, beside those in place. One
  // that is made meanwhile is left out: replay makes it, and fails where something is in its way.
  FileWalker(DataSource& source, TablespaceVersion version, std::set<std::uint32_t> tablespaces)
      : source_(source), version_(version), tablespaces_(std::move(tablespaces)) {}

  // Calls `visit` for every folder and file that a backup carries, each folder before what is in
  // it.
  void walk(const std::function<void(const WalkedFile&)>& visit, const std::stop_token& stop);

  // Symbolic links that were followed although PostgreSQL did not make them, and special files that
  // were left out; for warnings.
  const std::vector<std::string>& followed_links() const { return followed_links_; }
  const std::vector<std::string>& special_files() const { return special_files_; }
  // Where pg_wal leads, when it is a symbolic link.
  const std::string& wal_directory() const { return wal_directory_; }

 private:
  struct Walk;
  void walk_folder(Walk& walk, const std::string& folder, int depth);
  void walk_entry(Walk& walk, const std::string& path, int depth);
  void enter_link(Walk& walk, const std::string& path, const SourceStat& link, int depth);

  DataSource& source_;
  TablespaceVersion version_;
  std::set<std::uint32_t> tablespaces_;
  std::vector<std::string> followed_links_, special_files_;
  std::string wal_directory_;
};

}  // namespace holdfast
