#include "backup/summary_changes.h"

#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "core/cancellation.h"
#include "postgres/wal_summary_file.h"
#include "system/files.h"

namespace holdfast {
namespace {

constexpr std::size_t kMaxSummaryBytes = std::size_t{1} << 30U;
constexpr std::chrono::milliseconds kPause{50};

std::vector<WalSummaryName> summaries_in(const std::filesystem::path& folder) {
  std::vector<WalSummaryName> names;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
    if (const auto name = parse_wal_summary_name(entry.path().filename().string())) {
      names.push_back(*name);
    }
  }
  return names;
}

// The summaries that together cover [stretch.begin, stretch.end); `reached` is how far they go.
std::vector<WalSummaryName> covering(const SummaryStretch& stretch, Lsn& reached) {
  const std::vector<WalSummaryName> names = summaries_in(stretch.folder);
  std::vector<WalSummaryName> chosen;
  reached = stretch.begin;
  for (const TimelineRange& range : ancestry(stretch.timelines)) {
    const Lsn end = range.end ? std::min(*range.end, stretch.end) : stretch.end;
    if (end <= reached) continue;  // a timeline that was left before the way begins
    while (reached < end && reached >= range.begin) {
      const WalSummaryName* best = nullptr;
      for (const WalSummaryName& name : names) {
        const bool covers =
            name.timeline == range.timeline && name.start <= reached && reached < name.end;
        if (covers && (best == nullptr || name.end > best->end)) best = &name;
      }
      if (best == nullptr) return chosen;
      chosen.push_back(*best);
      reached = best->end;
    }
    reached = std::min(reached, end);
  }
  return chosen;
}

void add_summary(const std::filesystem::path& path, ChangedBlocks& into) {
  const auto content = read_file(path, kMaxSummaryBytes);
  if (!content) throw Error(ErrorKind::kDamage, "it has vanished");
  for (const SummarizedRelation& relation : parse_wal_summary(as_bytes(*content))) {
    const RelationFile& file = relation.blocks.file;
    if (file.relation == 0) {
      into.add_folder(file.tablespace, file.database);
    } else if (relation.blocks.fork == kMainFork) {
      into.add({relation.blocks});
      if (relation.cut_to) into.add_from(file, *relation.cut_to);
    }
  }
}

}  // namespace

std::string read_summary_changes(const SummaryStretch& stretch, ChangedBlocks& into,
                                 const std::stop_token& stop) {
  const auto deadline = std::chrono::steady_clock::now() + stretch.patience;
  Lsn reached;
  std::vector<WalSummaryName> chosen = covering(stretch, reached);
  while (reached < stretch.end && !chosen.empty() && std::chrono::steady_clock::now() < deadline) {
    check_cancelled(stop);
    std::this_thread::sleep_for(kPause);
    chosen = covering(stretch, reached);
  }
  if (reached < stretch.end) {
    return chosen.empty()
               ? std::string("PostgreSQL has no WAL summaries from the parent's start on")
               : fmt::format("PostgreSQL's WAL summaries end at {}", to_string(reached));
  }
  ChangedBlocks changes(into);
  for (const WalSummaryName& name : chosen) {
    try {
      add_summary(stretch.folder / to_string(name), changes);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kCancelled) throw;
      return fmt::format("WAL summary {}: {}", to_string(name), error.message());
    }
  }
  into = std::move(changes);
  return {};
}

}  // namespace holdfast
