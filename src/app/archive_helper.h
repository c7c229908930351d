#pragma once
// The helpers of archive-push and archive-get (wal/push_helper.h, wal/get_helper.h), started and
// run from the configuration. Each is one process for each cluster: who starts it takes its lock
// and hands the locked descriptor over, so that there is no moment in which two are started.

#include <filesystem>
#include <stop_token>
#include <string>

#include "app/config.h"
#include "wal/get_spool.h"

namespace holdfast {

enum class ArchiveDirection { kPush, kGet };

struct ArchiveHelperRequest {
  ArchiveDirection direction = ArchiveDirection::kPush;
  std::filesystem::path data_directory;  // absolute
  std::string history;  // archive-get's --history; empty: that of the data directory
};

// Starts the helper unless it runs. The state directory is there. Errors: kHost.
void start_archive_helper(const Config& config, const ArchiveHelperRequest& request);

// What the helper's process does; returns when it is not needed any more. kUsage when it was not
// started by start_archive_helper().
void run_archive_helper(const Config& config, const ArchiveHelperRequest& request,
                        const std::stop_token& stop);

// Reads the data directory where `history` is empty.
GetBinding get_binding(const Config& config, const std::filesystem::path& data_directory,
                       const std::string& history);

}  // namespace holdfast
