#pragma once
// Reads from PostgreSQL's own WAL summaries (17 and later) which blocks changed between two
// positions, and proves that nothing was missed: that summaries cover all of the way along the
// timelines without a gap. PostgreSQL writes none for WAL that was minimal.
// Errors: none for what is in the folder; missing or damaged summaries are the answer.
// Threads: any. Memory: one summary.

#include <chrono>
#include <filesystem>
#include <stop_token>
#include <string>

#include "backup/changed_blocks.h"
#include "postgres/timeline_history.h"

namespace holdfast {

struct SummaryStretch {
  std::filesystem::path folder;  // pg_wal/summaries
  TimelineHistory timelines;     // of the server
  Lsn begin, end;
  // The last part may still be on its way: PostgreSQL summarises in the background.
  std::chrono::milliseconds patience{std::chrono::seconds(10)};
};

// Empty when proven; else why not, and `into` says nothing.
std::string read_summary_changes(const SummaryStretch& stretch, ChangedBlocks& into,
                                 const std::stop_token& stop);

}  // namespace holdfast
