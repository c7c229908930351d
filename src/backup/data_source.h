#pragma once
// The files of a data directory as the backup reads them, behind an interface, so that a test can
// make files vanish, grow, shrink and tear at will.
// Paths are relative to the data directory; a tablespace is reached through pg_tblspc/<oid>.
// Threads: all methods from any thread. Errors: kHost, with the path.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "repository/manifest.h"

namespace holdfast {

struct SourceStat {
  FileType type = FileType::kRegular;
  bool special = false;  // neither file, folder nor symbolic link
  std::uint32_t mode = 0, uid = 0, gid = 0;
  std::int64_t modified_ns = 0;
  std::uint64_t size = 0;
  std::string link_target;
};

class SourceFile {
 public:
  virtual ~SourceFile() = default;
  // Fills `out` as far as the file goes; returns how many bytes that was.
  virtual std::size_t read_at(std::uint64_t offset, MutableByteView out) = 0;
};

class FileOpener {
 public:
  virtual ~FileOpener() = default;
  // nullptr when it has vanished.
  virtual std::unique_ptr<SourceFile> open(const std::string& path) = 0;
};

class DataSource : public FileOpener {
 public:
  // Names in a folder, sorted by bytes; empty when the folder has vanished.
  virtual std::vector<std::string> list(const std::string& folder) = 0;
  // Not following a symbolic link at the end of the path; nullopt when it has vanished.
  virtual std::optional<SourceStat> stat(const std::string& path) = 0;
  // As stat, of what a symbolic link leads to.
  virtual std::optional<SourceStat> stat_target(const std::string& path) = 0;
};

std::unique_ptr<DataSource> open_data_directory(const std::filesystem::path& data_directory);

}  // namespace holdfast
