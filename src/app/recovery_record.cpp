#include "app/recovery_record.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "app/copy_checks.h"
#include "app/open.h"
#include "core/error.h"
#include "repository/names.h"
#include "system/users.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Kind = RecoveryTarget::Kind;
using Result = RecoveryStep::Result;

constexpr std::size_t kRecordBytesMax = std::size_t{16} << 20U;
constexpr int kRecordVersion = 1;
constexpr int kLockTries = 20;
constexpr std::chrono::milliseconds kLockPoll{50};

struct KindName {
  Kind kind;
  std::string_view name;
};
constexpr KindName kKinds[] = {{Kind::kLatest, "latest"}, {Kind::kImmediate, "immediate"},
                               {Kind::kTime, "time"},     {Kind::kXid, "xid"},
                               {Kind::kLsn, "lsn"},       {Kind::kName, "name"}};

Json json_of(const RecoveryTarget& target) {
  Json json;
  for (const KindName& one : kKinds) {
    if (one.kind == target.kind) json["kind"] = one.name;
  }
  json["time"] = target.kind == Kind::kTime ? Json(to_rfc3339(target.time)) : Json();
  json["xid"] = target.xid;
  json["lsn"] = to_string(target.lsn);
  json["name"] = target.name;
  json["exclusive"] = target.stop == RecoveryTarget::Stop::kExclusive;
  json["timeline"] = target.timeline.number.value;
  return json;
}

// What is written has a resolved timeline, a number.
RecoveryTarget target_from(const Json& json) {
  RecoveryTarget target;
  const std::string kind = json.at("kind");
  const auto* found = std::ranges::find(kKinds, kind, &KindName::name);
  if (found == std::end(kKinds)) throw std::runtime_error("unknown target");
  target.kind = found->kind;
  if (target.kind == Kind::kTime) {
    target.time_text = json.at("time");
    target.time = parse_rfc3339(target.time_text).value();
  }
  target.xid = json.at("xid");
  target.lsn = parse_lsn(json.at("lsn").get<std::string>()).value();
  target.name = json.at("name");
  if (json.at("exclusive").get<bool>()) target.stop = RecoveryTarget::Stop::kExclusive;
  target.timeline = {RecoveryTimeline::Kind::kNumber, {json.at("timeline").get<std::uint32_t>()}};
  if (target.kind != Kind::kLatest) target.action = RecoveryTarget::Action::kPause;
  return target;
}

Json json_of(const RecoveryStep& step) {
  return {{"name", step.name},
          {"began", step.began},
          {"ended", step.ended.empty() ? Json() : Json(step.ended)},
          {"result", to_string(step.result)},
          {"detail", step.detail},
          {"by", step.by},
          {"host", step.host}};
}

RecoveryStep step_from(const Json& json) {
  RecoveryStep step{.name = json.at("name"),
                    .began = json.at("began"),
                    .ended = json.at("ended").is_null() ? "" : json.at("ended").get<std::string>(),
                    .detail = json.at("detail"),
                    .by = json.at("by"),
                    .host = json.at("host")};
  const std::string result = json.at("result");
  for (const Result one : {Result::kUnderWay, Result::kDone, Result::kFailed}) {
    if (result == to_string(one)) step.result = one;
  }
  return step;
}

std::optional<RecoveryVerdict> verdict_from(const Json& json) {
  if (json.is_null()) return std::nullopt;
  RecoveryVerdict verdict{.time = json.at("time"),
                          .at = json.at("at"),
                          .by = json.at("by"),
                          .checks = check_results_from(json.at("checks"))};
  // One that an older version wrote may have passed although nobody had looked.
  verdict.passed =
      json.at("passed").get<bool>() && verdict_of(verdict.checks) == CopyVerdict::kPassed;
  return verdict;
}

Json json_of(const RecoveryPromotion& promotion) {
  Json standbys = Json::array();
  for (const RecoveryStandby& standby : promotion.standbys) {
    standbys.push_back({{"data_directory", standby.data_directory.string()},
                        {"tablespaces", standby.tablespaces.string()},
                        {"port", standby.port},
                        {"aside", standby.aside.string()},
                        {"dropped", standby.dropped}});
  }
  return {{"lost", promotion.lost},
          {"backup", promotion.backup},
          {"place", promotion.place.string()},
          {"aside", promotion.aside.string()},
          {"start_options", promotion.start_options},
          {"differing", promotion.differing},
          {"copy_device", promotion.copy_device},
          {"copy_inode", promotion.copy_inode},
          {"system_identifier", promotion.system_identifier},
          {"unarchived", promotion.unarchived},
          {"fresh_backup", promotion.fresh_backup},
          {"standbys", std::move(standbys)}};
}

std::optional<RecoveryPromotion> promotion_from(const Json& json) {
  if (json.is_null()) return std::nullopt;
  RecoveryPromotion promotion{.lost = json.at("lost"),
                              .backup = json.at("backup"),
                              .place = json.at("place").get<std::string>(),
                              .aside = json.at("aside").get<std::string>(),
                              .start_options = json.at("start_options"),
                              .differing = json.at("differing"),
                              .copy_device = json.at("copy_device"),
                              .copy_inode = json.at("copy_inode"),
                              .system_identifier = json.at("system_identifier"),
                              .unarchived = json.at("unarchived"),
                              .fresh_backup = json.value("fresh_backup", "")};
  for (const Json& standby : json.value("standbys", Json::array())) {
    promotion.standbys.push_back({.data_directory = standby.at("data_directory").get<std::string>(),
                                  .tablespaces = standby.at("tablespaces").get<std::string>(),
                                  .port = standby.at("port"),
                                  .aside = standby.at("aside").get<std::string>(),
                                  .dropped = standby.value("dropped", false)});
  }
  return promotion;
}

Json json_of(const ObjectivesConfig& objectives) {
  return {{"recovery_time_seconds", Seconds(objectives.recovery_time).count()},
          {"recovery_point_seconds", Seconds(objectives.recovery_point).count()}};
}

ObjectivesConfig objectives_from(const Json& record) {
  const Json json = record.value("objectives", Json::object());
  const auto limit = [&](const char* key) {
    return std::chrono::round<std::chrono::milliseconds>(Seconds(json.value(key, 0.0)));
  };
  return {.recovery_point = limit("recovery_point_seconds"),
          .recovery_time = limit("recovery_time_seconds")};
}

RecoveryRecord record_from(const Json& json) {
  if (json.at("version") != kRecordVersion) throw std::runtime_error("unknown version");
  RecoveryRecord record{.name = json.at("name"),
                        .cluster = json.at("cluster"),
                        .began = json.at("began"),
                        .repository = json.at("repository"),
                        .as_of = json.value("as_of", ""),
                        .backup = json.at("backup"),
                        .history = json.at("history"),
                        .followed = json.value("followed", ""),
                        .folder = json.at("folder").get<std::string>(),
                        .server_folder = json.at("server_folder").get<std::string>(),
                        .major_version = json.at("major_version"),
                        .target = target_from(json.at("target")),
                        .from = parse_lsn(json.at("from").get<std::string>()).value(),
                        .to = parse_lsn(json.at("to").get<std::string>()).value(),
                        .restore_command = json.at("restore_command"),
                        .objectives = objectives_from(json),
                        .last_transaction = json.value("last_transaction", "")};
  for (const Json& step : json.at("steps")) record.steps.push_back(step_from(step));
  record.verdict = verdict_from(json.at("verdict"));
  for (const Json& approval : json.at("approvals")) {
    record.approvals.push_back(
        {.by = approval.at("by"), .time = approval.at("time"), .host = approval.at("host")});
  }
  record.promotion = promotion_from(json.at("promotion"));
  return record;
}

}  // namespace

std::string_view to_string(Result result) {
  switch (result) {
    case Result::kUnderWay:
      return "under way";
    case Result::kDone:
      return "done";
    case Result::kFailed:
      return "failed";
  }
  return "?";
}

std::string RecoveryRecord::lasting_name() const {
  const auto time = parse_rfc3339(began);
  return fmt::format("{}-{}", name, time ? to_compact(*time) : std::string("unknown"));
}

bool RecoveryRecord::has_begun(std::string_view step) const {
  return std::ranges::find(steps, step, &RecoveryStep::name) != steps.end();
}

bool RecoveryRecord::has_done(std::string_view step) const {
  return std::ranges::any_of(steps, [&](const RecoveryStep& one) {
    return one.name == step && one.result == Result::kDone;
  });
}

bool RecoveryRecord::has_done_since_turn(std::string_view step) const {
  for (auto one = steps.rbegin(); one != steps.rend(); ++one) {
    if (one->name.starts_with(kRollbackStep) != step.starts_with(kRollbackStep)) return false;
    if (one->name == step && one->result == Result::kDone) return true;
  }
  return false;
}

bool RecoveryRecord::is_promoted() const {
  if (!promotion || is_being_rolled_back() || !has_done(kLastPromotionStep)) return false;
  for (std::size_t i = 0; i < promotion->standbys.size(); ++i) {
    const bool wanted = !promotion->standbys[i].dropped;
    if (wanted && !has_done_since_turn(standby_step(i))) return false;
  }
  return true;
}

std::string standby_step(std::size_t index) {
  return fmt::format("standby {}", index + 1);
}

bool RecoveryRecord::is_being_abandoned() const {
  return !steps.empty() && steps.back().name == "abandon";
}

bool RecoveryRecord::is_being_rolled_back() const {
  const auto last =
      std::ranges::find_if(steps.rbegin(), steps.rend(),
                           [](const RecoveryStep& step) { return step.name != "abandon"; });
  return last != steps.rend() && last->name.starts_with(kRollbackStep);
}

bool RecoveryRecord::is_rolled_back() const {
  return is_being_rolled_back() && has_done(kLastRollbackStep);
}

std::string next_of_promotion(const RecoveryRecord& record) {
  if (record.is_rolled_back() || record.is_being_abandoned())
    return fmt::format("holdfast recover abandon {} --yes removes the copy", record.name);
  if (record.is_being_rolled_back())
    return fmt::format(
        "holdfast recover rollback {0} goes on; holdfast recover promote {0} turns round",
        record.name);
  if (record.is_promoted()) {
    return fmt::format(
        "holdfast recover rollback {0} puts the old server back; recover abandon {0} --yes ends "
        "this, and leaves both directories where they are",
        record.name);
  }
  std::string next = fmt::format(
      "holdfast recover promote {0} goes on; holdfast recover rollback {0} puts the old server "
      "back",
      record.name);
  if (record.has_done_since_turn(kLastPromotionStep)) {
    next += fmt::format(
        "; the copy is in production: recover promote {} --instances 1 lets its "
        "standbys be",
        record.name);
  }
  return next;
}

Json json_of(const RecoveryVerdict& verdict) {
  return {{"time", verdict.time},
          {"at", verdict.at},
          {"by", verdict.by},
          {"passed", verdict.passed},
          {"verdict", to_string(verdict_of(verdict.checks))},
          {"checks", check_results_json(verdict.checks)}};
}

std::string to_json(const RecoveryRecord& record) {
  Json json;
  json["version"] = kRecordVersion;
  json["name"] = record.name;
  json["cluster"] = record.cluster;
  json["began"] = record.began;
  json["repository"] = record.repository;
  json["as_of"] = record.as_of;
  json["backup"] = record.backup;
  json["history"] = record.history;
  json["followed"] = record.followed;
  json["folder"] = record.folder.string();
  json["server_folder"] = record.server_folder.string();
  json["major_version"] = record.major_version;
  json["target"] = json_of(record.target);
  json["from"] = to_string(record.from);
  json["to"] = to_string(record.to);
  json["restore_command"] = record.restore_command;
  json["objectives"] = json_of(record.objectives);
  json["last_transaction"] = record.last_transaction;
  json["steps"] = Json::array();
  for (const RecoveryStep& step : record.steps) json["steps"].push_back(json_of(step));
  json["verdict"] = record.verdict ? json_of(*record.verdict) : Json();
  json["approvals"] = Json::array();
  for (const RecoveryApproval& approval : record.approvals) {
    json["approvals"].push_back(
        {{"by", approval.by}, {"time", approval.time}, {"host", approval.host}});
  }
  json["promotion"] = record.promotion ? json_of(*record.promotion) : Json();
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

RecoveryRecord parse_recovery_record(const std::string& json, const std::string& place) {
  try {
    return record_from(Json::parse(json));
  } catch (const std::exception& error) {
    throw Error(ErrorKind::kDamage,
                fmt::format("the record of a recovery makes no sense: {}", error.what()),
                {.object = place,
                 .hint = "Its folder, if there is one, is below the state "
                         "directory or where --scratch said."});
  }
}

RecoveryStore::RecoveryStore(const Config& config) {
  prepare_state_directory(config);
  folder_ = config.state_directory / "recoveries";
  make_folders(folder_, 0700);
  // As root, PostgreSQL runs as somebody else, who must get to the copy.
  give_owner({.path = folder_, .like = config.state_directory});
}

fs::path RecoveryStore::path_of(const std::string& name) const {
  if (!is_valid_cluster_name(name)) {
    throw Error(ErrorKind::kUsage, "not a name for a recovery",
                {.object = name, .hint = "Letters, digits, '.', '_' and '-', at most 63."});
  }
  return folder_ / (name + ".json");
}

std::vector<std::string> RecoveryStore::names() const {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_)) {
    const fs::path file = entry.path().filename();
    if (file.extension() == ".json") names.push_back(file.stem());
  }
  std::ranges::sort(names);
  return names;
}

std::string RecoveryStore::resolve(const std::string& name) const {
  if (!name.empty()) return name;
  const std::vector<std::string> all = names();
  if (all.size() == 1) return all.front();
  if (all.empty()) {
    throw Error(ErrorKind::kNotFound, "there is no recovery",
                {.object = folder_, .hint = "'holdfast recover start' begins one."});
  }
  throw Error(ErrorKind::kUsage, "there are several recoveries: name one",
              {.object = fmt::format("{}", fmt::join(all, ", ")),
               .hint = "'holdfast recover status' shows them."});
}

std::optional<RecoveryRecord> RecoveryStore::find(const std::string& name) const {
  const fs::path path = path_of(name);
  const auto text = read_file(path, kRecordBytesMax);
  if (!text) return std::nullopt;
  return parse_recovery_record(*text, path);
}

RecoveryRecord RecoveryStore::read(const std::string& name) const {
  if (auto record = find(name)) return std::move(*record);
  throw Error(ErrorKind::kNotFound, "there is no recovery of this name",
              {.object = name, .hint = "'holdfast recover status' lists them."});
}

void RecoveryStore::write(const RecoveryRecord& record) const {
  write_durably(path_of(record.name), as_bytes(to_json(record)), 0600, Overwrite::kYes);
  give_to_owner(path_of(record.name));
}

void RecoveryStore::give_to_owner(const fs::path& path) const {
  give_owner({.path = path, .like = folder_});
}

std::optional<FileLock> RecoveryStore::try_lock(const fs::path& path) const {
  auto lock = FileLock::try_acquire(path);
  give_to_owner(path);
  return lock;
}

fs::path RecoveryStore::report_stem(const RecoveryRecord& record) const {
  return folder_ / "reports" / record.lasting_name();
}

fs::path RecoveryStore::retire(const RecoveryRecord& record) const {
  const fs::path ended = folder_ / "ended";
  make_folders(ended, 0700);
  give_to_owner(ended);
  fs::path path = ended / (record.lasting_name() + ".json");
  rename_durably(path_of(record.name), path);
  return path;
}

FileLock RecoveryStore::lock(const std::string& name) const {
  path_of(name);  // a name that may be one
  for (int i = 0; i < kLockTries; ++i) {
    auto lock = try_lock(folder_ / (name + ".lock"));
    if (lock) return std::move(*lock);
    std::this_thread::sleep_for(
        kLockPoll);  // it may be a status that only looks whether it is held
  }
  throw Error(ErrorKind::kRefused, "somebody else works on this recovery",
              {.object = name, .hint = "'holdfast recover status' tells who, and on what."});
}

FileLock RecoveryStore::lock_cluster() const {
  auto lock = try_lock(folder_ / "cluster-lock");
  if (lock) return std::move(*lock);
  throw Error(ErrorKind::kRefused, "somebody else promotes a recovery, or rolls one back",
              {.object = folder_, .hint = "'holdfast recover status' tells who, and which."});
}

bool RecoveryStore::is_worked_on(const std::string& name) const {
  return !try_lock(folder_ / (name + ".lock"));
}

}  // namespace holdfast
