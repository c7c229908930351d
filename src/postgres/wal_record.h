#pragma once
// One record of the write-ahead log, taken apart as far as all resource managers have in common:
// the header, the references to blocks, and the main data.
//
// Source of the format: PostgreSQL access/xlogrecord.h, access/rmgr.h, access/rmgrlist.h of
// versions 13 to 18, little-endian. Differences: the flags of a block's image (13 and 14 against 15
// and later), the top-level transaction (from 14 on), custom resource managers (from 15 on).
// Nothing of a record is believed before its CRC matched; then every length in it is still checked.
// Cannot fail otherwise; safe from any thread.

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>

#include "core/bytes.h"
#include "core/wal_position.h"

namespace holdfast {

// The built-in resource managers whose records are looked into; the others only by number.
enum class WalManager : std::uint8_t {
  kXlog = 0,
  kTransaction = 1,
  kStorage = 2,
  kDatabase = 4,
  kTablespace = 5,
  kRelationMap = 7,
};
inline constexpr std::uint8_t kLastBuiltInWalManager = 21;  // logical messages, 13 to 18
inline constexpr std::uint8_t kFirstCustomWalManager = 128;

// One relation's file node: its folder and the number its files are named by.
struct RelationFile {
  std::uint32_t tablespace = 0;  // 1664: pg_global, 1663: pg_default
  std::uint32_t database = 0;    // 0: shared by all
  std::uint32_t relation = 0;
  auto operator<=>(const RelationFile&) const = default;
};

// Forks by number, as WAL has them.
inline constexpr std::uint8_t kMainFork = 0;
inline constexpr std::uint8_t kFreeSpaceFork = 1;
inline constexpr std::uint8_t kVisibilityFork = 2;
inline constexpr std::uint8_t kInitFork = 3;

struct WalBlock {
  RelationFile file;
  std::uint32_t block = 0;
  std::uint8_t fork = kMainFork;
  bool has_image = false;
  bool will_init = false;
};

inline constexpr std::size_t kMaxWalBlocks = 33;  // a record's references; ids 0 to 32
inline constexpr std::size_t kWalRecordHeaderBytes = 24;

// Views into it live as long as the bytes that it was decoded from.
struct WalRecord {
  Lsn start;                 // PostgreSQL's ReadRecPtr
  Lsn end;                   // EndRecPtr: aligned; of a WAL switch, the start of the next segment
  Lsn previous;              // start of the record before it
  std::uint32_t length = 0;  // without page headers and padding
  std::uint32_t xid = 0;
  std::uint8_t manager = 0;
  std::uint8_t info = 0;
  // False: the CRC is right, but what follows the header is not as this version lays it out, or
  // the record is larger than kMaxDecodedWalRecordBytes. Then there are no blocks and no data.
  bool decoded = false;
  std::optional<std::uint16_t> origin;
  std::optional<std::uint32_t> top_level_xid;
  ByteView main_data;

  std::span<const WalBlock> blocks() const { return {block_list.data(), block_count}; }
  bool is(WalManager wanted) const { return manager == static_cast<std::uint8_t>(wanted); }
  std::uint8_t kind() const { return info & 0xF0U; }  // the resource manager's own bits
  // The writer's hint that files change in a way that the block references do not show.
  bool changes_files() const { return (info & 0x01U) != 0; }

  std::size_t block_count = 0;
  std::array<WalBlock, kMaxWalBlocks> block_list;  // the first block_count hold something
};

inline constexpr std::size_t kMaxDecodedWalRecordBytes = std::size_t{64} << 20U;

// Whether the CRC of the whole record `bytes` (its length in its header must be theirs) is right.
bool has_valid_wal_crc(ByteView bytes);

// Takes `bytes` apart, a whole record whose CRC is right, into `record`, of which `start` and `end`
// are left alone. `major_version` is 13 ... 18.
void decode_wal_record(ByteView bytes, int major_version, WalRecord& record);

// The header alone: the first kWalRecordHeaderBytes of a record.
void decode_wal_record_header(ByteView header, WalRecord& record);

// Whether the record ends the use of its segment.
bool is_wal_switch(const WalRecord& record);

}  // namespace holdfast
