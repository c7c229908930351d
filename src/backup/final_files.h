#pragma once
// What a backup carries besides the files that were read while the server went on writing: contents
// that exist only in memory (control file image, backup_label, tablespace_map, configuration from
// outside the data directory) and, of a standalone backup, its WAL.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backup/carried_wal.h"
#include "backup/data_source.h"

namespace holdfast {

class FinalFiles final : public FileOpener {
 public:
  void add(const std::string& path, Bytes content, std::uint32_t mode);
  void add_wal(std::unique_ptr<CarriedWal> wal);

  struct File {
    std::string path;
    std::uint64_t size = 0;
    std::uint32_t mode = 0600;
  };
  // In manifest order.
  std::vector<File> files() const;

  std::unique_ptr<SourceFile> open(const std::string& path) override;

 private:
  struct Content {
    Bytes bytes;
    std::uint32_t mode = 0600;
  };
  std::map<std::string, Content> contents_;
  std::unique_ptr<CarriedWal> wal_;
};

}  // namespace holdfast
