#pragma once
// global/pg_control: what a data directory says of itself. Source of the layout: PostgreSQL
// 13 to 18, catalog/pg_control.h (control versions 1300 for 13 to 16, 1700 for 17, 1800 for 18).
// Only the documented prefix and the CRC-32C are read; nothing is believed before the CRC matched.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/wal_position.h"

namespace holdfast {

enum class ClusterState : std::uint32_t {
  kStartup = 0,
  kShutDown = 1,
  kShutDownInRecovery = 2,
  kShuttingDown = 3,
  kInCrashRecovery = 4,
  kInArchiveRecovery = 5,
  kInProduction = 6,
};

struct ControlFile {
  std::uint64_t system_identifier = 0;
  std::uint32_t control_version = 0;
  std::uint32_t catalog_version = 0;
  ClusterState state = ClusterState::kStartup;
  Lsn checkpoint;
  Lsn checkpoint_redo;
  TimelineId checkpoint_timeline;
  std::uint64_t checkpoint_next_xid = 0;  // with its epoch in the upper half
  Lsn minimum_recovery_point;
  TimelineId minimum_recovery_timeline;
  std::uint32_t block_size = 0;
  std::uint32_t relation_segment_blocks = 0;  // blocks in one file of a relation (1 GiB)
  std::uint32_t wal_block_size = 0;
  WalSegmentSize wal_segment_size;
  std::uint32_t data_checksum_version = 0;  // 0: off
  int wal_level = 0;                        // 0 minimal, 1 replica, 2 logical
};

// Within a data directory.
inline constexpr std::string_view kControlFilePath = "global/pg_control";

// Bytes of the file that carry information; PostgreSQL pads it with zeros to 8 KiB.
inline constexpr std::size_t kControlFileBytes = 8192;

// Throws Error(kDamage) when the CRC does not match, kRefused for a layout that is not known.
ControlFile parse_control_file(ByteView content);

struct ControlFileImage {
  ControlFile parsed;
  Bytes content;  // kControlFileBytes
};
// Reads until two reads agree and the CRC matches (a running server rewrites the file); gives up
// after some seconds with kDamage.
ControlFileImage read_control_file(const std::filesystem::path& data_directory);

}  // namespace holdfast
