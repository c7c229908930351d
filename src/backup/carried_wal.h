#pragma once
// The WAL that a standalone backup carries: every segment from its start to its stop.
//
// The last segment is carried up to the stop position and is zero behind it, so recovery of the
// backup alone ends exactly at its stop. Page headers are checked before a segment is taken: a
// segment that the server recycled under our feet is an error, not a backup that does not restore.

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backup/data_source.h"
#include "core/wal_position.h"

namespace holdfast {

struct CarriedWalOptions {
  std::filesystem::path wal_directory;
  TimelineId timeline;
  Lsn start, stop;
  WalSegmentSize segment_size;
  std::uint64_t system_identifier = 0;
};

class CarriedWal final : public FileOpener {
 public:
  // Finds and checks every segment; kPostgres when one is missing or is not what it should be.
  explicit CarriedWal(const CarriedWalOptions& options);

  struct File {
    std::string path;  // "pg_wal/0000000100000000000000A3", "pg_wal/00000002.history"
    std::uint64_t size = 0;
  };
  const std::vector<File>& files() const { return files_; }

  std::unique_ptr<SourceFile> open(const std::string& path) override;

 private:
  CarriedWalOptions options_;
  std::vector<File> files_;
  std::map<std::string, std::uint64_t> valid_bytes_;  // by path; zeros behind
};

}  // namespace holdfast
