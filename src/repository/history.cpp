#include "repository/history.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/fault_point.h"
#include "repository/write_once.h"

namespace holdfast {
namespace {

using Json = nlohmann::ordered_json;

Bytes encode(const Repository& repository, const std::string& cluster,
             const HistoryRecord& record) {
  Json json;
  json["object"] = names::history(cluster, record.name);
  json["number"] = record.name.number;
  json["system_identifier"] = std::to_string(record.name.system_identifier);
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
    const Json json = Json::parse(as_text(plain));
    if (json.at("object") != object_name) {
      throw Error(ErrorKind::kDamage, "damaged object: it is the record of another history",
                  {.object = object_name});
    }
    return {.name = name,
            .postgres_version_num = json.at("postgres_version_num"),
            .wal_segment_size = {json.at("wal_segment_bytes").get<std::uint32_t>()},
            .opened = json.at("opened"),
            .opened_by = json.at("opened_by")};
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kDamage, fmt::format("malformed history record: {}", error.what()),
                {.object = object_name});
  }
}

namespace {

void require_same_cluster(const std::string& cluster, const HistoryRecord& current,
                          const ClusterIdentity& identity) {
  if (current.name.system_identifier != identity.system_identifier) {
    throw Error(
        ErrorKind::kRefused,
        fmt::format("the repository holds another cluster under the name '{}': its system "
                    "identifier is {}, this server's is {}",
                    cluster, current.name.system_identifier, identity.system_identifier),
        {.object = names::history(cluster, current.name),
         .hint = "Check postgres.connection and postgres.data_directory. A different cluster needs "
                 "a 'cluster' name of its own in the configuration."});
  }
  if (current.wal_segment_size != identity.wal_segment_size) {
    throw Error(ErrorKind::kRefused, "the cluster's WAL segment size has changed",
                {.object = names::history(cluster, current.name)});
  }
}

}  // namespace

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

Registration register_cluster(const Repository& repository, const std::string& cluster,
                              const ClusterIdentity& identity, const std::stop_token& stop) {
  const auto histories = list_histories(repository, cluster, stop);
  if (!histories.empty()) {
    require_same_cluster(cluster, histories.back(), identity);
    return {histories.back(), false};
  }
  HistoryRecord record{.name = {1, identity.system_identifier},
                       .postgres_version_num = identity.postgres_version_num,
                       .wal_segment_size = identity.wal_segment_size,
                       .opened = to_rfc3339_seconds(system_clock().now()),
                       .opened_by = identity.host};
  fault_point("init.before_history");
  const auto outcome =
      try_put_once(repository.store(), names::history(cluster, record.name),
                   encode(repository, cluster, record), ObjectClass::kCatalogue, stop);
  // Read back: another registration of this name may have happened at the same moment.
  const auto now = list_histories(repository, cluster, stop);
  HF_INVARIANT(!now.empty());
  require_same_cluster(cluster, now.back(), identity);
  return {now.back(), outcome != WriteOnceOutcome::kOtherContent};
}

HistoryRecord current_history(const Repository& repository, const std::string& cluster,
                              const ClusterIdentity& identity, const std::stop_token& stop) {
  const auto histories = list_histories(repository, cluster, stop);
  if (histories.empty()) {
    throw Error(ErrorKind::kRefused, fmt::format("cluster '{}' is not registered", cluster),
                {.object = repository.store().describe(), .hint = "Run 'holdfast init' first."});
  }
  require_same_cluster(cluster, histories.back(), identity);
  return histories.back();
}

}  // namespace holdfast
