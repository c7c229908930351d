#include "cli/backup_views.h"

#include <fmt/format.h>

#include "cli/render.h"
#include "core/text.h"

namespace holdfast::cli {
namespace {

std::string version_text(int version_num) {
  return fmt::format("{}.{}", version_num / 10000, version_num % 10000);
}

}  // namespace

Json json_of(const BackupInfo& info) {
  Json json = Json::parse(holdfast::to_json(info));
  json["system_identifier"] = json_of_system_identifier(info.name.history.system_identifier);
  json.erase("owners");
  if (!info.recovered) json["recovered"] = nullptr;
  return json;
}

Json json_of(const CatalogueEntry& entry) {
  const bool has_facts = entry.outcome.committed;
  if (entry.state == BackupState::kCommitted ||
      (entry.state == BackupState::kExpiring && has_facts)) {
    Json json = json_of(entry.outcome.info);
    json["state"] = to_string(entry.state);
    return json;
  }
  Json json;
  json["cluster"] = entry.name.cluster;
  json["history"] = holdfast::to_string(entry.name.history);
  json["id"] = entry.name.id.text;
  json["state"] = to_string(entry.state);
  if (entry.state == BackupState::kDamaged) json["damage"] = entry.damage;
  return json;
}

std::string text_of(const BackupInfo& info, const Style& style) {
  std::vector<NamedValue> values{{"backup", info.name.id.text}};
  const auto add = [&](std::string name, std::string value) {
    if (!value.empty()) values.push_back({std::move(name), std::move(value)});
  };
  add("name", info.label);
  add("reason", info.reason);
  for (const auto& [key, value] : info.annotations) add(key, value);
  add("type", info.type + (info.standalone ? ", standalone" : ""));
  if (info.incremental) {
    const IncrementalFacts& facts = *info.incremental;
    add("builds on", facts.parent.id.text);
    add("changes from",
        facts.source + (facts.source_reason.empty() ? std::string()
                                                    : fmt::format(" ({})", facts.source_reason)));
    add("read", human_bytes(facts.read_bytes));
    add("changed", human_bytes(facts.changed_bytes));
    if (facts.refreshed_bytes > 0) add("refreshed", human_bytes(facts.refreshed_bytes));
  }
  add("cluster",
      fmt::format("{} (PostgreSQL {}, system identifier {})", info.name.cluster,
                  version_text(info.postgres_version_num), info.name.history.system_identifier));
  add("taken", fmt::format("{} to {} on {}{}", to_rfc3339_seconds(info.start_time),
                           to_rfc3339_seconds(info.stop_time), info.host,
                           info.from_standby ? ", from a standby" : ""));
  add("duration", human_duration(Seconds(info.duration_seconds)));
  add("WAL", fmt::format("timeline {}, {} to {}", info.timeline.value,
                         holdfast::to_string(info.start_lsn), holdfast::to_string(info.stop_lsn)));
  if (info.recovered) {
    const RecoveredFacts& facts = *info.recovered;
    add("holds", fmt::format("the copy of recovery {} at {}, from backup {}", facts.recovery,
                             facts.target, facts.backup.id.text));
    add("ends at", facts.last_transaction
                       ? fmt::format("{}, last transaction {}", holdfast::to_string(info.stop_lsn),
                                     to_rfc3339(*facts.last_transaction))
                       : holdfast::to_string(info.stop_lsn));
  } else {
    add("recoverable from", to_rfc3339(info.stop_time));
  }
  add("files", std::to_string(info.files));
  add("size", human_bytes(info.data_bytes));
  add("stored", fmt::format("{} in {} packs, {}, encryption {}", human_bytes(info.stored_bytes),
                            info.pack_count, info.compression, info.encryption));
  for (const BackupTablespace& space : info.tablespaces) {
    add("tablespace", fmt::format("{} at {}", space.name,
                                  space.location.empty() ? "(in place)" : space.location));
  }
  if (info.copied_from) {
    add("copied from",
        fmt::format("{} on {}", info.copied_from->repository, info.copied_from->time));
  }
  add("page checksums", info.data_checksums ? "on, verified" : "off");
  if (info.damaged_pages > 0) {
    add("damaged pages", fmt::format("{}, the first in {} block {}", info.damaged_pages,
                                     info.damaged.front().path, info.damaged.front().block));
  }
  return render_values(values, style);
}

}  // namespace holdfast::cli
