#pragma once
// Where things stand in the header that each page of WAL begins with, and how records are aligned.
// Little-endian, the same in PostgreSQL 13 to 18. Definition: src/include/access/xlog_internal.h
// and xlogrecord.h of PostgreSQL. Constants only.

#include <cstddef>
#include <cstdint>

namespace holdfast::wal_page {

// Short header: magic 0, flags 2, timeline 4, page address 8, bytes left of a record 16; 24 in all.
// The first page of a segment has the long one: system identifier 24, segment size 32, page size
// 36; 40 in all.
inline constexpr std::size_t kFlagsAt = 2;
inline constexpr std::size_t kTimelineAt = 4;
inline constexpr std::size_t kAddressAt = 8;
inline constexpr std::size_t kRemainingAt = 16;
inline constexpr std::size_t kSystemIdentifierAt = 24;
inline constexpr std::size_t kSegmentSizeAt = 32;
inline constexpr std::size_t kPageSizeAt = 36;
inline constexpr std::size_t kShortHeaderBytes = 24;
inline constexpr std::size_t kLongHeaderBytes = 40;

inline constexpr std::uint16_t kFlagContinues = 0x0001;
inline constexpr std::uint16_t kFlagLongHeader = 0x0002;
inline constexpr std::uint16_t kFlagOverwrites = 0x0008;
inline constexpr std::uint16_t kFlagsKnown = 0x000F;

inline constexpr std::size_t kRecordAlignment = 8;

}  // namespace holdfast::wal_page
