#include "repository/outcome.h"

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "repository/json_text.h"
#include "repository/write_once.h"

namespace holdfast {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

template <class Read>
auto parse_record(const Bytes& plain, const std::string& name, Read&& read) {
  try {
    return read(parse_json<Json>(as_text(plain)));
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kDamage, fmt::format("malformed record: {}", error.what()),
                {.object = name});
  }
}

// Every record says where it belongs, so that one that was copied over another is not believed.
void require_place(const Json& json, const std::string& name) {
  if (json.at("object") != name) {
    throw Error(ErrorKind::kDamage, "damaged object: it is a record of another backup",
                {.object = name});
  }
}

// Each attempt to decide carries a nonce, so that reading back tells whose record it is.
std::string nonce() {
  std::array<std::byte, 16> random{};
  fill_random(random);
  return to_hex(random);
}

WriteOnceOutcome put_outcome(const Repository& repository, const BackupName& backup,
                             const Json& json, const std::stop_token& stop) {
  const Bytes object = seal_record(ContainerKind::kOutcome, repository.keys(),
                                   repository.keys().cipher, as_bytes(dump(json)));
  return try_put_once(repository.store(), names::outcome(backup), object, ObjectClass::kCatalogue,
                      stop);
}

}  // namespace

void write_begin(const Repository& repository, const BackupName& backup, const BeginRecord& record,
                 const std::stop_token& stop) {
  const Json json{{"object", names::begin(backup)},
                  {"host", record.host},
                  {"pid", record.pid},
                  {"data_directory", record.data_directory},
                  {"started", record.started}};
  put_once(repository.store(), names::begin(backup),
           seal_record(ContainerKind::kBegin, repository.keys(), repository.keys().cipher,
                       as_bytes(dump(json))),
           ObjectClass::kCatalogue, stop);
}

std::optional<BeginRecord> read_begin(const Repository& repository, const BackupName& backup,
                                      const std::stop_token& stop) {
  const std::string name = names::begin(backup);
  auto object = repository.store().get(name, stop);
  if (!object) return std::nullopt;
  const Bytes plain =
      open_record(ContainerKind::kBegin, repository.keys(), std::move(*object), name);
  return parse_record(plain, name, [&](const Json& json) {
    require_place(json, name);
    return BeginRecord{json.at("host"), json.at("pid"), json.at("data_directory"),
                       json.at("started")};
  });
}

void commit_backup(const Repository& repository, const Outcome& outcome,
                   const std::stop_token& stop) {
  Json json;
  json["object"] = names::outcome(outcome.info.name);
  json["outcome"] = "committed";
  json["nonce"] = nonce();
  json["time"] = outcome.time;
  json["by"] = outcome.by;
  json["manifest_bytes"] = outcome.manifest_bytes;
  json["manifest_sha256"] = outcome.manifest_sha256;
  json["backup"] = Json::parse(to_json(outcome.info));
  const BackupName& backup = outcome.info.name;
  if (put_outcome(repository, backup, json, stop) == WriteOnceOutcome::kOtherContent) {
    throw Error(ErrorKind::kRefused,
                "the backup was given up by another process while this one was not heard of",
                {.object = names::outcome(backup),
                 .hint = "Its data was swept. Take a new backup, and find out what kept this one "
                         "from working for so long."});
  }
}

bool abort_backup(const Repository& repository, const BackupName& backup, const std::string& by,
                  const std::stop_token& stop) {
  const Json json{{"object", names::outcome(backup)},
                  {"outcome", "aborted"},
                  {"nonce", nonce()},
                  {"time", to_rfc3339_seconds(system_clock().now())},
                  {"by", by}};
  if (put_outcome(repository, backup, json, stop) != WriteOnceOutcome::kOtherContent) return true;
  const auto there = read_outcome(repository, backup, stop);
  return there && !there->committed;
}

std::optional<Outcome> read_outcome(const Repository& repository, const BackupName& backup,
                                    const std::stop_token& stop) {
  const std::string name = names::outcome(backup);
  auto object = repository.store().get(name, stop);
  if (!object) return std::nullopt;
  const Bytes plain =
      open_record(ContainerKind::kOutcome, repository.keys(), std::move(*object), name);
  return parse_record(plain, name, [&](const Json& json) {
    require_place(json, name);
    const std::string decided = json.at("outcome");
    if (decided != "committed" && decided != "aborted") {
      throw Error(ErrorKind::kDamage, "malformed record: it decides nothing", {.object = name});
    }
    Outcome outcome{
        .committed = decided == "committed", .time = json.at("time"), .by = json.at("by")};
    if (!outcome.committed) return outcome;
    outcome.manifest_bytes = json.at("manifest_bytes");
    outcome.manifest_sha256 = json.at("manifest_sha256");
    outcome.info = parse_backup_info(json.at("backup").dump());
    if (!(outcome.info.name == backup)) {
      throw Error(ErrorKind::kDamage, "the commit record is that of another backup",
                  {.object = name});
    }
    return outcome;
  });
}

}  // namespace holdfast
