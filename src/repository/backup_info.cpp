#include "repository/backup_info.h"

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "repository/json_text.h"

namespace holdfast {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void malformed(std::string_view why) {
  throw Error(ErrorKind::kDamage, fmt::format("malformed description of a backup: {}", why));
}

Json pages_to_json(const std::vector<BadPage>& pages) {
  Json out = Json::array();
  for (const BadPage& page : pages) out.push_back({{"path", page.path}, {"block", page.block}});
  return out;
}

std::vector<BadPage> pages_from_json(const Json& json) {
  std::vector<BadPage> pages;
  for (const Json& page : json) pages.push_back({page.at("path"), page.at("block")});
  return pages;
}

Timestamp time_from(const Json& json) {
  const auto time = parse_rfc3339(json.get<std::string>());
  if (!time) malformed("a time has the wrong form");
  return *time;
}

Lsn lsn_from(const Json& json) {
  const auto lsn = parse_lsn(json.get<std::string>());
  if (!lsn) malformed("a WAL position has the wrong form");
  return *lsn;
}

Json tablespaces_to_json(const std::vector<BackupTablespace>& tablespaces) {
  Json out = Json::array();
  for (const BackupTablespace& t : tablespaces) {
    out.push_back({{"oid", t.oid},
                   {"name", t.name},
                   {"location", t.location},
                   {"content_bytes", t.content_bytes}});
  }
  return out;
}

Json owners_to_json(const std::vector<FileOwner>& owners) {
  Json out = Json::array();
  for (const FileOwner& o : owners) {
    out.push_back({{"uid", o.uid}, {"gid", o.gid}, {"user", o.user}, {"group", o.group}});
  }
  return out;
}

Json to_json(const IncrementalFacts& facts) {
  Json json;
  json["parent"] = facts.parent.id.text;
  json["parent_history"] = to_string(facts.parent.history);
  json["source"] = facts.source;
  json["source_reason"] = facts.source_reason;
  json["read_bytes"] = facts.read_bytes;
  json["changed_bytes"] = facts.changed_bytes;
  json["refreshed_bytes"] = facts.refreshed_bytes;
  return json;
}

IncrementalFacts incremental_from(const Json& json, const std::string& cluster) {
  const auto history = parse_history_name(json.at("parent_history").get<std::string>());
  const auto id = parse_backup_id(json.at("parent").get<std::string>());
  if (!history || !id) malformed("its parent's id or history has the wrong form");
  IncrementalFacts facts;
  facts.parent = {cluster, *history, *id};
  facts.source = json.at("source");
  facts.source_reason = json.at("source_reason");
  facts.read_bytes = json.at("read_bytes");
  facts.changed_bytes = json.at("changed_bytes");
  facts.refreshed_bytes = json.at("refreshed_bytes");
  return facts;
}

Json to_json(const CopyFacts& facts) {
  return {{"repository_id", facts.repository_id},
          {"repository", facts.repository},
          {"time", facts.time}};
}

Json to_json(const RecoveredFacts& facts) {
  return {{"recovery", facts.recovery},
          {"backup", facts.backup.id.text},
          {"history", to_string(facts.backup.history)},
          {"target", facts.target},
          {"last_transaction",
           facts.last_transaction ? Json(to_rfc3339(*facts.last_transaction)) : Json(nullptr)}};
}

RecoveredFacts recovered_from(const Json& json, const std::string& cluster) {
  const auto history = parse_history_name(json.at("history").get<std::string>());
  const auto id = parse_backup_id(json.at("backup").get<std::string>());
  if (!history || !id) malformed("what it was recovered from has the wrong form");
  RecoveredFacts facts{.recovery = json.at("recovery"),
                       .backup = {cluster, *history, *id},
                       .target = json.at("target"),
                       .last_transaction = std::nullopt};
  const Json& last = json.at("last_transaction");
  if (!last.is_null()) facts.last_transaction = time_from(last);
  return facts;
}

void read_name(const Json& json, BackupInfo& info) {
  const auto history = parse_history_name(json.at("history").get<std::string>());
  const auto id = parse_backup_id(json.at("id").get<std::string>());
  if (!history || !id) malformed("its id or history has the wrong form");
  info.name = {json.at("cluster"), *history, *id};
  info.label = json.at("name");
  info.reason = json.at("reason");
  info.annotations = json.at("annotations").get<std::map<std::string, std::string>>();
  info.type = json.at("type");
  info.standalone = json.at("standalone");
  info.from_standby = json.at("from_standby");
  info.host = json.at("host");
  info.holdfast_version = json.at("holdfast_version");
}

void read_server(const Json& json, BackupInfo& info) {
  info.postgres_version_num = json.at("postgres_version_num");
  info.catalog_version = json.at("catalog_version");
  info.timeline = {json.at("timeline").get<std::uint32_t>()};
  info.start_lsn = lsn_from(json.at("start_lsn"));
  info.stop_lsn = lsn_from(json.at("stop_lsn"));
  info.start_time = time_from(json.at("start_time"));
  info.stop_time = time_from(json.at("stop_time"));
  info.duration_seconds = json.at("duration_seconds");
  info.data_directory = json.at("data_directory");
  info.data_directory_mode = json.at("data_directory_mode");
  info.data_directory_owner = json.at("data_directory_owner");
  info.wal_directory = json.at("wal_directory");
  info.wal_segment_size = {json.at("wal_segment_bytes").get<std::uint32_t>()};
  info.relation_segment_blocks = json.at("relation_segment_blocks");
  info.data_checksums = json.at("data_checksums");
  for (const Json& t : json.at("tablespaces")) {
    info.tablespaces.push_back(
        {t.at("oid"), t.at("name"), t.at("location"), t.at("content_bytes")});
  }
  if (json.contains("tablespaces_made")) {
    info.tablespaces_made = json.at("tablespaces_made").get<std::vector<std::string>>();
  }
  info.external_config = json.at("external_config").get<std::map<std::string, std::string>>();
  for (const Json& o : json.at("owners")) {
    info.owners.push_back({o.at("uid"), o.at("gid"), o.at("user"), o.at("group")});
  }
}

void read_sizes(const Json& json, BackupInfo& info) {
  info.files = json.at("files");
  info.data_bytes = json.at("data_bytes");
  info.content_bytes = json.at("content_bytes");
  info.stored_bytes = json.at("stored_bytes");
  info.pack_count = json.at("packs");
  info.page_hash_key = json.at("page_hash_key");
  if (const Json& facts = json.at("incremental"); !facts.is_null()) {
    info.incremental = incremental_from(facts, info.name.cluster);
  }
  if (const Json& facts = json.at("copied_from"); !facts.is_null()) {
    info.copied_from =
        CopyFacts{facts.at("repository_id"), facts.at("repository"), facts.at("time")};
  }
  if (json.contains("recovered")) {
    info.recovered = recovered_from(json.at("recovered"), info.name.cluster);
  }
  info.compression = json.at("compression");
  info.encryption = json.at("encryption");
  info.damaged_pages = json.at("damaged_pages");
  info.damaged = pages_from_json(json.at("damaged"));
  info.excused_pages = json.at("excused_pages");
  info.excused = pages_from_json(json.at("excused"));
}

}  // namespace

std::string to_json(const BackupInfo& info) {
  Json json;
  json["cluster"] = info.name.cluster;
  json["history"] = to_string(info.name.history);
  json["id"] = info.name.id.text;
  json["name"] = info.label;
  json["reason"] = info.reason;
  json["annotations"] = info.annotations;
  json["type"] = info.type;
  json["standalone"] = info.standalone;
  json["from_standby"] = info.from_standby;
  json["host"] = info.host;
  json["holdfast_version"] = info.holdfast_version;
  json["postgres_version_num"] = info.postgres_version_num;
  json["catalog_version"] = info.catalog_version;
  json["timeline"] = info.timeline.value;
  json["start_lsn"] = to_string(info.start_lsn);
  json["stop_lsn"] = to_string(info.stop_lsn);
  json["start_time"] = to_rfc3339(info.start_time);
  json["stop_time"] = to_rfc3339(info.stop_time);
  json["duration_seconds"] = info.duration_seconds;
  json["data_directory"] = info.data_directory;
  json["data_directory_mode"] = info.data_directory_mode;
  json["data_directory_owner"] = info.data_directory_owner;
  json["wal_directory"] = info.wal_directory;
  json["wal_segment_bytes"] = info.wal_segment_size.bytes;
  json["relation_segment_blocks"] = info.relation_segment_blocks;
  json["data_checksums"] = info.data_checksums;
  json["tablespaces"] = tablespaces_to_json(info.tablespaces);
  if (!info.tablespaces_made.empty()) json["tablespaces_made"] = info.tablespaces_made;
  json["external_config"] = info.external_config;
  json["owners"] = owners_to_json(info.owners);
  json["files"] = info.files;
  json["data_bytes"] = info.data_bytes;
  json["content_bytes"] = info.content_bytes;
  json["stored_bytes"] = info.stored_bytes;
  json["packs"] = info.pack_count;
  json["page_hash_key"] = info.page_hash_key;
  json["incremental"] = info.incremental ? to_json(*info.incremental) : Json(nullptr);
  json["copied_from"] = info.copied_from ? to_json(*info.copied_from) : Json(nullptr);
  if (info.recovered) json["recovered"] = to_json(*info.recovered);
  json["compression"] = info.compression;
  json["encryption"] = info.encryption;
  json["damaged_pages"] = info.damaged_pages;
  json["damaged"] = pages_to_json(info.damaged);
  json["excused_pages"] = info.excused_pages;
  json["excused"] = pages_to_json(info.excused);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

BackupInfo parse_backup_info(std::string_view text) {
  BackupInfo info;
  try {
    const Json json = parse_json<Json>(text);
    read_name(json, info);
    read_server(json, info);
    read_sizes(json, info);
  } catch (const nlohmann::json::exception& error) {
    malformed(error.what());
  }
  return info;
}

}  // namespace holdfast
