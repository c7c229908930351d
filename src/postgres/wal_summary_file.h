#pragma once
// WAL summaries: the files in pg_wal/summaries that PostgreSQL 17 and later write with
// summarize_wal = on. Each says, for a stretch of WAL, which blocks of which relations it changed.
//
// Source of the format: PostgreSQL backup/walsummary.h (names), common/blkreftable.c (content) and
// postmaster/walsummarizer.c (meaning) of 17 and 18. An entry with relation 0 stands for a whole
// database that was created by copying files, or dropped. Free space maps are not in summaries, and
// visibility maps change without being in WAL.
// Errors: what is wrong in a file is Error(kDamage); its checksum is checked before anything is
// believed. Threads: any.

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/wal_position.h"
#include "postgres/wal_block_set.h"

namespace holdfast {

// "0000000100000000015FD8A00000000001600028.summary": timeline, first byte, end.
struct WalSummaryName {
  TimelineId timeline;
  Lsn start, end;
  bool operator==(const WalSummaryName&) const = default;
};
std::optional<WalSummaryName> parse_wal_summary_name(std::string_view name);
std::string to_string(const WalSummaryName& name);

struct SummarizedRelation {
  RelationBlocks blocks;
  // The relation was cut to this many blocks, or made anew (0); nothing before it says anything
  // about blocks from here on.
  std::optional<std::uint32_t> cut_to;
};
std::vector<SummarizedRelation> parse_wal_summary(ByteView content);

}  // namespace holdfast
