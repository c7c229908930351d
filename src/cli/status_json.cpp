#include "cli/render.h"
#include "cli/status_views.h"

namespace holdfast::cli {
namespace {

Json time_or_null(const std::optional<Timestamp>& time) {
  return time ? json_of(*time) : Json();
}
Json text_or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}
template <class Value>
Json value_or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json();
}
Json trouble_json(const std::optional<Trouble>& trouble) {
  if (!trouble) return nullptr;
  return {
      {"kind", to_string(trouble->kind)}, {"message", trouble->message}, {"hint", trouble->hint}};
}

Json server_json(const ServerEvidence& server) {
  Json json{{"reachable", !server.trouble.has_value()}, {"problem", trouble_json(server.trouble)}};
  const bool known = !server.trouble;
  json["version"] = text_or_null(server.version);
  json["role"] = !known ? Json() : Json(server.standby ? "standby" : "primary");
  json["timeline"] = known ? Json(server.timeline.value) : Json();
  json["restored_copy"] = known ? Json(server.restored) : Json();
  json["replay_behind_bytes"] = server.replay ? Json(server.replay->behind) : Json();
  return json;
}

Json archiving_json(const Evidence& evidence) {
  const ServerEvidence& server = evidence.server;
  if (server.trouble) return nullptr;
  const ArchiverEvidence& archiver = server.archiver;
  const WalRisk risk = wal_risk(evidence);
  Json json{{"on", archiver.on}, {"failing", archiver.failing()}};
  json["last_archived"] = text_or_null(archiver.last_archived_file);
  json["last_archived_time"] = time_or_null(archiver.last_archived);
  json["last_failed"] = text_or_null(archiver.last_failed_file);
  json["last_failed_time"] = time_or_null(archiver.last_failed);
  json["message"] = archiver.said ? Json(archiver.said->message) : Json();
  const auto& backlog = server.backlog;
  json["waiting_segments"] = backlog ? Json(backlog->segments) : Json();
  json["waiting_bytes"] = backlog ? Json(backlog->bytes) : Json();
  json["waiting_since"] = backlog ? time_or_null(backlog->oldest) : Json();
  json["free_bytes"] = backlog ? Json(backlog->free_bytes) : Json();
  json["growth_bytes_per_second"] = value_or_null(risk.bytes_per_second);
  json["disk_full_seconds"] = risk.disk_full_in ? json_of(*risk.disk_full_in) : Json();
  return json;
}

Json backup_json(const CatalogueEntry& backup, Timestamp now) {
  const BackupInfo& info = backup.outcome.info;
  Json json{{"id", backup.name.id.text},
            {"name", text_or_null(info.label)},
            {"type", info.type},
            {"stop_time", json_of(info.stop_time)},
            {"age_seconds", json_of(Seconds(now - info.stop_time))},
            {"data_bytes", info.data_bytes},
            {"stored_bytes", info.stored_bytes}};
  json["proof"] = Json();
  if (backup.proof) {
    json["proof"] = {
        {"time", backup.proof->time}, {"mode", backup.proof->mode}, {"ok", backup.proof->ok}};
  }
  return json;
}

Json window_json(const WindowEvidence& window) {
  return {{"from", time_or_null(window.from)},
          {"to", time_or_null(window.to)},
          {"to_is_exact", window.to_is_exact},
          {"to_lsn", json_of(window.to_lsn)},
          {"timeline", window.timeline.value}};
}

Json lag_json(const RepositoryLag& lag) {
  return {{"missing_files", lag.missing},
          {"oldest", text_or_null(lag.oldest)},
          {"since", time_or_null(lag.behind_since)},
          {"checked", json_of(lag.checked)},
          {"failure", text_or_null(lag.failure)}};
}

Json repository_json(const RepositoryEvidence& repository, Timestamp now) {
  Json json{{"name", repository.name},
            {"url", repository.url},
            {"as_of", time_or_null(repository.as_of)},
            {"wal", repository.wal},
            {"reachable", repository.opened},
            {"problem", trouble_json(repository.trouble)}};
  std::size_t complete = 0;
  for (const CatalogueEntry& backup : repository.backups) {
    complete += backup.state == BackupState::kCommitted ? 1U : 0U;
  }
  json["backups"] = repository.opened ? Json(complete) : Json();
  json["last_good"] = repository.last_good ? backup_json(*repository.last_good, now) : Json();
  json["window"] = repository.window ? window_json(*repository.window) : Json();
  json["gaps"] = repository.gaps.size();
  json["lag"] = repository.lag ? lag_json(*repository.lag) : Json();
  return json;
}

Json drill_json(const MachineEvidence& machine) {
  if (machine.drills.empty()) return nullptr;
  const DrillEvidence& drill = machine.drills.back();
  return {{"time", json_of(drill.time)},
          {"passed", drill.passed},
          {"backup", text_or_null(drill.backup)},
          {"target", text_or_null(drill.target)},
          {"recovery_seconds", value_or_null(drill.recovery_seconds)},
          {"recovery_point_seconds", value_or_null(drill.recovery_point_seconds)},
          {"failed", text_or_null(drill.failed)}};
}

}  // namespace

Json status_json(const Evidence& evidence, const std::vector<Finding>& findings) {
  Json json{{"cluster", evidence.cluster},
            {"time", json_of(evidence.now)},
            {"health", health_of(findings)}};
  json["problems"] = Json::array();
  for (const Finding& finding : findings) {
    if (finding.severity == ProblemSeverity::kNotice) continue;
    json["problems"].push_back({{"code", finding.code},
                                {"severity", holdfast::to_string(finding.severity)},
                                {"repository", text_or_null(finding.repository)},
                                {"title", finding.title},
                                {"remedy", finding.remedy}});
  }
  json["postgres"] = server_json(evidence.server);
  json["archiving"] = archiving_json(evidence);
  json["repositories"] = Json::array();
  for (const RepositoryEvidence& repository : evidence.repositories) {
    json["repositories"].push_back(repository_json(repository, evidence.now));
  }
  json["drill"] = drill_json(evidence.machine);
  json["running"] = Json::array();
  for (const RunningOperation& each : evidence.machine.running) {
    json["running"].push_back({{"what", each.what}, {"pid", each.pid}});
  }
  json["recoveries"] = Json::array();
  for (const RecoveryView& view : evidence.machine.recoveries) {
    json["recoveries"].push_back({{"name", view.record.name},
                                  {"state", holdfast::to_string(view.state)},
                                  {"began", view.record.began}});
  }
  return json;
}

}  // namespace holdfast::cli
