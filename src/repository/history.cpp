#include "repository/history.h"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/fault_point.h"
#include "postgres/data_files.h"
#include "repository/json_text.h"
#include "repository/write_once.h"
#include "system/files.h"

namespace holdfast {
namespace {

using Json = nlohmann::ordered_json;
constexpr std::size_t kMaxBindingBytes = 4096;
constexpr std::array<std::string_view, 4> kReasons{"init", "upgrade", "take-over", "recovery"};

std::string_view to_string(HistoryReason reason) {
  return kReasons.at(static_cast<std::size_t>(reason));
}

HistoryReason parse_reason(const std::string& text, const std::string& object) {
  const auto found = std::ranges::find(kReasons, text);
  if (found == kReasons.end()) {
    throw Error(ErrorKind::kDamage, "malformed history record: unknown reason", {.object = object});
  }
  return static_cast<HistoryReason>(found - kReasons.begin());
}

std::optional<HistoryFork> parse_fork(const Json& json, const std::string& object) {
  if (!json.contains("parent")) return std::nullopt;
  const auto lsn = parse_lsn(json.at("fork_lsn").get<std::string>());
  if (!lsn) {
    throw Error(ErrorKind::kDamage, "malformed history record: fork_lsn", {.object = object});
  }
  return HistoryFork{json.at("parent"), {json.at("fork_timeline").get<std::uint32_t>()}, *lsn};
}

std::optional<SideLine> parse_side(const Json& json) {
  if (!json.contains("side_of")) return std::nullopt;
  return SideLine{json.at("side_of"), json.at("recovery")};
}

Bytes encode(const Repository& repository, const std::string& cluster,
             const HistoryRecord& record) {
  Json json;
  json["object"] = names::history(cluster, record.name);
  json["number"] = record.name.number;
  json["system_identifier"] = std::to_string(record.name.system_identifier);
  json["reason"] = to_string(record.reason);
  if (record.fork) {
    json["parent"] = record.fork->parent;
    json["fork_timeline"] = record.fork->timeline.value;
    json["fork_lsn"] = to_string(record.fork->lsn);
  }
  if (record.side) {
    json["side_of"] = record.side->of;
    json["recovery"] = record.side->recovery;
  }
  json["postgres_version_num"] = record.postgres_version_num;
  json["wal_segment_bytes"] = record.wal_segment_size.bytes;
  json["opened"] = record.opened;
  json["opened_by"] = record.opened_by;
  return seal_record(ContainerKind::kHistory, repository.keys(), repository.keys().cipher,
                     as_bytes(json.dump(-1, ' ', false, Json::error_handler_t::replace)));
}

}  // namespace

HistoryRecord read_history(const Repository& repository, const std::string& cluster,
                           const HistoryName& name, const std::stop_token& stop) {
  const std::string object_name = names::history(cluster, name);
  auto object = repository.store().get(object_name, stop);
  if (!object) {
    throw Error(ErrorKind::kDamage, "the record that opens this history is missing",
                {.object = object_name});
  }
  const Bytes plain =
      open_record(ContainerKind::kHistory, repository.keys(), std::move(*object), object_name);
  try {
    const Json json = parse_json<Json>(as_text(plain));
    if (json.at("object") != object_name) {
      throw Error(ErrorKind::kDamage, "damaged object: it is the record of another history",
                  {.object = object_name});
    }
    const WalSegmentSize segment_size{json.at("wal_segment_bytes").get<std::uint32_t>()};
    if (!is_valid(segment_size)) {
      throw Error(ErrorKind::kDamage, "malformed history record: wal_segment_bytes",
                  {.object = object_name});
    }
    return {.name = name,
            .reason = parse_reason(json.at("reason"), object_name),
            .fork = parse_fork(json, object_name),
            .side = parse_side(json),
            .postgres_version_num = json.at("postgres_version_num"),
            .wal_segment_size = segment_size,
            .opened = json.at("opened"),
            .opened_by = json.at("opened_by")};
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kDamage, fmt::format("malformed history record: {}", error.what()),
                {.object = object_name});
  }
}

std::vector<HistoryName> list_history_names(const Repository& repository,
                                            const std::string& cluster,
                                            const std::stop_token& stop) {
  std::vector<HistoryName> found;
  ListRequest request{.prefix = names::cluster_prefix(cluster), .group_folders = true};
  for (;;) {
    const ListPage page = repository.store().list(request, stop);
    for (const std::string& folder : page.folders) {
      const std::string_view part = std::string_view(folder).substr(
          request.prefix.size(), folder.size() - request.prefix.size() - 1);
      if (const auto name = parse_history_name(part)) {
        found.push_back(*name);
      }
    }
    if (!page.next) break;
    request.after = *page.next;
  }
  std::ranges::sort(found, {}, &HistoryName::number);
  return found;
}

std::vector<HistoryRecord> list_histories(const Repository& repository, const std::string& cluster,
                                          const std::stop_token& stop) {
  std::vector<HistoryRecord> histories;
  for (const HistoryName& name : list_history_names(repository, cluster, stop)) {
    histories.push_back(read_history(repository, cluster, name, stop));
  }
  for (std::size_t i = 1; i < histories.size(); ++i) {
    if (histories[i - 1].name.number == histories[i].name.number) {
      throw Error(ErrorKind::kRefused, "two histories of this cluster have the same number",
                  {.object = names::cluster_prefix(cluster),
                   .hint = "Two clusters were registered under one name at the same moment. Use "
                           "another cluster name for one of them."});
    }
  }
  return histories;
}

const HistoryRecord* taken_over_by(const std::vector<HistoryRecord>& histories,
                                   const HistoryName& history) {
  for (const HistoryRecord& other : histories) {
    if (other.fork && other.fork->parent == history.number) return &other;
    // Side lines are younger than what they come from; else a damaged record led round in a circle.
    if (!other.side || other.side->of != history.number || other.name.number <= history.number) {
      continue;
    }
    if (const HistoryRecord* through = taken_over_by(histories, other.name)) return through;
  }
  return nullptr;
}

const HistoryRecord& newest_history(const std::vector<HistoryRecord>& histories) {
  HF_INVARIANT(!histories.empty());
  for (auto record = histories.rbegin(); record != histories.rend(); ++record) {
    if (!record->side) return *record;
  }
  return histories.back();
}

namespace {

// The last history that was opened for this system identifier by `init` or `init --upgrade`.
const HistoryRecord* registered_history(const std::vector<HistoryRecord>& histories,
                                        const ClusterIdentity& identity) {
  const HistoryRecord* found = nullptr;
  for (const HistoryRecord& record : histories) {
    if (record.name.system_identifier == identity.system_identifier && !record.fork &&
        !record.side) {
      found = &record;
    }
  }
  return found;
}

[[noreturn]] void refuse_other_cluster(const std::string& cluster, const HistoryRecord& current,
                                       const ClusterIdentity& identity) {
  throw Error(
      ErrorKind::kRefused,
      fmt::format("the repository holds another cluster under the name '{}': its system "
                  "identifier is {}, this server's is {}",
                  cluster, current.name.system_identifier, identity.system_identifier),
      {.object = names::history(cluster, current.name),
       .hint = "If this cluster replaces that one (after pg_upgrade or a new initdb), run "
               "'holdfast init --upgrade'. A different cluster needs a 'cluster' name of its own "
               "in the configuration; check also postgres.connection and "
               "postgres.data_directory."});
}

void require_segment_size(const std::string& cluster, const HistoryRecord& record,
                          const ClusterIdentity& identity) {
  if (record.wal_segment_size == identity.wal_segment_size) return;
  throw Error(ErrorKind::kRefused,
              fmt::format("the cluster's WAL segment size has changed: it was {} bytes, now it is "
                          "{}",
                          record.wal_segment_size.bytes, identity.wal_segment_size.bytes),
              {.object = names::history(cluster, record.name),
               .hint = "Run 'holdfast init --upgrade', and take a backup."});
}

const HistoryRecord* find_history(const std::vector<HistoryRecord>& histories,
                                  const HistoryName& name) {
  const auto found = std::ranges::find(histories, name, &HistoryRecord::name);
  return found == histories.end() ? nullptr : &*found;
}

void require_not_taken_over(const std::vector<HistoryRecord>& histories, const std::string& cluster,
                            const HistoryRecord& record) {
  const HistoryRecord* other = taken_over_by(histories, record.name);
  if (other == nullptr) return;
  throw Error(ErrorKind::kRefused,
              fmt::format("this server's history {} was taken over by {} on {}: another server "
                          "goes on with this cluster",
                          to_string(record.name), to_string(other->name), other->opened_by),
              {.object = names::history(cluster, other->name),
               .hint = "Leave the other server to it and stop this one. If this one is to go on "
                       "instead, run 'holdfast init --take-over' here."});
}

HistoryRecord create_history(const Repository& repository, const std::string& cluster,
                             HistoryRecord record, const std::stop_token& stop) {
  fault_point("init.before_history");
  const auto outcome =
      try_put_once(repository.store(), names::history(cluster, record.name),
                   encode(repository, cluster, record), ObjectClass::kCatalogue, stop);
  if (outcome == WriteOnceOutcome::kOtherContent) {
    throw Error(ErrorKind::kRefused, "another history was opened at the same moment",
                {.object = names::history(cluster, record.name),
                 .hint = "Find out who did, and run the command again."});
  }
  return record;
}

HistoryRecord new_record(std::uint32_t number, const ClusterIdentity& identity) {
  return {.name = {number, identity.system_identifier},
          .postgres_version_num = identity.postgres_version_num,
          .wal_segment_size = identity.wal_segment_size,
          .opened = to_rfc3339_seconds(system_clock().now()),
          .opened_by = identity.host};
}

}  // namespace

Registration register_cluster(const Repository& repository, const std::string& cluster,
                              const ClusterIdentity& identity, const std::stop_token& stop) {
  const auto registered = [&](const std::vector<HistoryRecord>& histories) {
    const HistoryRecord* record = registered_history(histories, identity);
    if (record == nullptr) refuse_other_cluster(cluster, newest_history(histories), identity);
    require_segment_size(cluster, *record, identity);
    return *record;
  };
  const auto histories = list_histories(repository, cluster, stop);
  if (!histories.empty()) return {registered(histories), false};
  const HistoryRecord record = new_record(1, identity);
  fault_point("init.before_history");
  const auto outcome =
      try_put_once(repository.store(), names::history(cluster, record.name),
                   encode(repository, cluster, record), ObjectClass::kCatalogue, stop);
  // Read back: another registration of this name may have happened at the same moment.
  const auto now = list_histories(repository, cluster, stop);
  if (now.empty()) {
    throw Error(ErrorKind::kRepository, "the store does not list the history that was just opened",
                {.object = names::history(cluster, record.name), .retryable = true});
  }
  return {registered(now), outcome != WriteOnceOutcome::kOtherContent};
}

std::optional<HistoryBinding> read_history_binding(const std::filesystem::path& data_directory) {
  const auto path = data_directory / kHistoryBinding;
  const auto text = read_file(path, kMaxBindingBytes);
  if (!text) return std::nullopt;
  try {
    const Json json = parse_json<Json>(*text);
    const auto history = parse_history_name(json.at("history").get<std::string>());
    if (history) return HistoryBinding{json.at("cluster"), *history};
  } catch (const nlohmann::json::exception&) {  // reported below
  }
  throw Error(ErrorKind::kDamage, "the file that names this server's history makes no sense",
              {.object = path.string(),
               .hint = "It was written by 'holdfast init --take-over'; run that again."});
}

void write_history_binding(const std::filesystem::path& data_directory,
                           const HistoryBinding& binding) {
  Json json;
  json["cluster"] = binding.cluster;
  json["history"] = to_string(binding.history);
  write_durably(data_directory / kHistoryBinding, as_bytes(json.dump(2) + "\n"), 0600,
                Overwrite::kYes);
}

void require_taken_over(const std::filesystem::path& data_directory) {
  const auto marker = data_directory / kRestoreMarker;
  if (!std::filesystem::exists(marker)) return;
  throw Error(
      ErrorKind::kRefused,
      "this data directory was restored from a backup: it writes nothing to the archive that "
      "it came from until it takes over",
      {.object = marker.string(),
       .hint = "If this server is to be the cluster from now on, run 'holdfast init "
               "--take-over'; the old one is then kept out. If it is a copy to look at, "
               "set archive_mode = off in it."});
}

HistoryRecord history_to_write(const std::vector<HistoryRecord>& histories,
                               const std::string& cluster, const ClusterIdentity& identity,
                               const std::optional<HistoryBinding>& binding) {
  if (histories.empty()) {
    throw Error(ErrorKind::kRefused, fmt::format("cluster '{}' is not registered", cluster),
                {.object = cluster, .hint = "Run 'holdfast init' first."});
  }
  const bool bound = binding && binding->cluster == cluster;
  const HistoryRecord* record =
      bound ? find_history(histories, binding->history) : registered_history(histories, identity);
  if (record == nullptr && bound) {
    throw Error(ErrorKind::kRefused,
                fmt::format("this server writes history {}, which is not in the repository",
                            to_string(binding->history)),
                {.object = cluster,
                 .hint = "Is this the right repository? To go on in a new history there, run "
                         "'holdfast init --take-over'."});
  }
  if (record == nullptr || record->name.system_identifier != identity.system_identifier) {
    refuse_other_cluster(cluster, record == nullptr ? newest_history(histories) : *record,
                         identity);
  }
  require_segment_size(cluster, *record, identity);
  require_not_taken_over(histories, cluster, *record);
  return *record;
}

HistoryRecord open_history(const Repository& repository, const std::string& cluster,
                           const ClusterIdentity& identity, const NewHistory& wanted,
                           const std::stop_token& stop) {
  const auto histories = list_histories(repository, cluster, stop);
  const std::uint32_t next = histories.empty() ? 1 : histories.back().name.number + 1;
  HistoryRecord record = new_record(next, identity);
  record.reason = wanted.reason;
  record.fork = wanted.fork;
  record.side = wanted.side;
  return create_history(repository, cluster, std::move(record), stop);
}

bool adopt_history(const Repository& repository, const std::string& cluster,
                   const HistoryRecord& record, const std::stop_token& stop) {
  const auto known = [&] {
    const auto histories = list_histories(repository, cluster, stop);
    const auto same = std::ranges::find_if(histories, [&](const HistoryRecord& other) {
      return other.name.number == record.name.number;
    });
    if (same == histories.end()) return false;
    if (same->name == record.name && same->fork == record.fork && same->side == record.side &&
        same->wal_segment_size == record.wal_segment_size) {
      return true;
    }
    throw Error(ErrorKind::kRefused,
                fmt::format("the repository has another history of number {} for this cluster",
                            record.name.number),
                {.object = names::history(cluster, same->name),
                 .hint = "The two repositories went different ways, so what is in one cannot be "
                         "told from what is in the other. Use a repository of its own."});
  };
  if (known()) return false;
  fault_point("init.before_history");
  const auto outcome =
      try_put_once(repository.store(), names::history(cluster, record.name),
                   encode(repository, cluster, record), ObjectClass::kCatalogue, stop);
  // Also after a put of ours: another history may have taken the number at the same moment.
  known();
  return outcome == WriteOnceOutcome::kCreated;
}

std::vector<LineStep> line_of(const std::vector<HistoryRecord>& histories,
                              const HistoryName& history) {
  std::vector<LineStep> line;
  std::optional<HistoryFork> until;
  const HistoryRecord* record = find_history(histories, history);
  while (record != nullptr) {
    line.push_back({record->name, until});
    if (!record->fork || record->fork->parent >= record->name.number) break;
    HistoryFork fork = *record->fork;
    if (until) {
      fork.timeline = std::min(fork.timeline, until->timeline);
      fork.lsn = std::min(fork.lsn, until->lsn);
    }
    until = fork;
    const auto parent = std::ranges::find_if(
        histories, [&](const HistoryRecord& other) { return other.name.number == fork.parent; });
    record = parent == histories.end() ? nullptr : &*parent;
  }
  return line;
}

}  // namespace holdfast
