#include "repository/audit_record.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "repository/json_text.h"
#include "repository/write_once.h"

namespace holdfast {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kDayLength = 8;
// Whoever copies in the same second takes other random digits.
constexpr int kNameAttempts = 20;
constexpr std::uint64_t kAuditLineNumberMax = std::uint64_t{1} << 53U;

[[noreturn]] void throw_malformed(std::string_view why, std::string_view name) {
  throw Error(ErrorKind::kDamage, fmt::format("malformed copy of the audit log: {}", why),
              {.object = std::string(name)});
}

}  // namespace

std::string names::audit_prefix(std::string_view cluster) {
  return cluster_prefix(cluster) + "audit/";
}

std::string names::audit_record(std::string_view cluster, const BackupId& id) {
  return fmt::format("{}{}/{}", audit_prefix(cluster), id.text.substr(0, kDayLength), id.text);
}

std::optional<BackupId> names::parse_audit_record(std::string_view cluster, std::string_view name) {
  const auto slash = name.rfind('/');
  if (slash == std::string_view::npos) return std::nullopt;
  auto id = parse_backup_id(name.substr(slash + 1));
  if (!id || audit_record(cluster, *id) != name) return std::nullopt;
  return id;
}

std::string write_audit_record(const Repository& repository, const std::string& cluster,
                               const AuditRecord& record, Timestamp now,
                               const std::stop_token& stop) {
  for (int attempt = 0; attempt < kNameAttempts; ++attempt) {
    const std::string name = names::audit_record(cluster, new_backup_id(now));
    const Json json{{"object", name},
                    {"log", record.log},
                    {"place", record.place},
                    {"first", record.first},
                    {"lines", record.lines}};
    const Bytes object =
        seal_record(ContainerKind::kAudit, repository.keys(), repository.keys().cipher,
                    as_bytes(json.dump(-1, ' ', false, Json::error_handler_t::replace)));
    if (try_put_once(repository.store(), name, object, ObjectClass::kCatalogue, stop) !=
        WriteOnceOutcome::kOtherContent) {
      return name;
    }
  }
  throw Error(ErrorKind::kRepository, "no free name was found for the copy of the audit log",
              {.object = names::audit_prefix(cluster)});
}

std::vector<std::string> list_audit_records(const Repository& repository,
                                            const std::string& cluster,
                                            std::optional<Timestamp> since,
                                            const std::stop_token& stop) {
  const std::string prefix = names::audit_prefix(cluster);
  ListRequest request{.prefix = prefix};
  if (since) request.after = prefix + to_compact(*since).substr(0, kDayLength);
  std::vector<std::string> found;
  for (;;) {
    const ListPage page = repository.store().list(request, stop);
    for (const ObjectInfo& object : page.objects) {
      if (names::parse_audit_record(cluster, object.name)) found.push_back(object.name);
    }
    if (!page.next) return found;
    request.after = *page.next;
  }
}

AuditRecord read_audit_record(const Repository& repository, const std::string& name,
                              const std::stop_token& stop) {
  auto object = repository.store().get(name, stop);
  if (!object) {
    throw Error(ErrorKind::kDamage, "a copy of the audit log is missing", {.object = name});
  }
  const Bytes plain =
      open_record(ContainerKind::kAudit, repository.keys(), std::move(*object), name);
  return parse_audit_record_json(plain, name);
}

AuditRecord parse_audit_record_json(ByteView plain, std::string_view name) {
  try {
    const Json json = parse_json<Json>(as_text(plain));
    if (json.at("object") != name) {
      throw Error(ErrorKind::kDamage, "damaged object: it is another copy of the audit log",
                  {.object = std::string(name)});
    }
    if (!json.at("first").is_number_unsigned()) throw_malformed("no number of a line", name);
    AuditRecord record{.log = json.at("log"),
                       .place = json.at("place"),
                       .first = json.at("first"),
                       .lines = json.at("lines").get<std::vector<std::string>>()};
    if (record.first < 1 || record.first > kAuditLineNumberMax || record.lines.empty() ||
        record.lines.size() > kAuditRecordLinesMax) {
      throw_malformed("so many lines from there on cannot be", name);
    }
    return record;
  } catch (const Json::exception& error) {
    throw_malformed(error.what(), name);
  }
}

}  // namespace holdfast
