#include "app/dropped.h"

#include <algorithm>

#include "repository/catalogue.h"
#include "wal/drop_ledger.h"

namespace holdfast {

std::optional<DroppedSummary> dropped_wal(const Config& config, const Repository& repository,
                                          const HistoryName& history, const std::stop_token& stop) {
  std::vector<DroppedWal> all = list_dropped_wal(repository, {config.cluster, history}, stop);
  const DropLedger ledger(config.state_directory);
  if (!ledger.empty()) {
    for (DropEntry& entry : ledger.entries()) {
      if (entry.recorded_in.empty()) all.push_back(std::move(entry.what));
    }
  }
  if (all.empty()) return std::nullopt;
  const auto last = std::ranges::max_element(all, {}, &DroppedWal::to);
  DroppedSummary summary{.last = *last, .records = all.size(), .backup_since = {}};
  const auto dropped_at = parse_rfc3339(summary.last.to);
  if (!dropped_at) return summary;
  for (const CatalogueEntry& backup : list_backups(repository, config.cluster, stop)) {
    const bool complete = backup.state == BackupState::kCommitted;
    if (!complete || backup.outcome.info.start_time <= *dropped_at) continue;
    summary.backup_since = backup.name.id.text;
    break;
  }
  return summary;
}

}  // namespace holdfast
