#include "repository/dropped_wal.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/counted.h"
#include "core/error.h"
#include "repository/json_text.h"
#include "repository/write_once.h"

namespace holdfast {

using Json = nlohmann::ordered_json;

std::string names::dropped_wal_prefix(const WalPlace& place) {
  return names::history_prefix(place.cluster, place.history) + "dropped/";
}

std::string names::dropped_wal(const WalPlace& place, const DroppedWal& dropped) {
  return fmt::format("{}{}-{}", dropped_wal_prefix(place), dropped.first, dropped.last);
}

void write_dropped_wal(const Repository& repository, const WalPlace& place,
                       const DroppedWal& dropped, const std::stop_token& stop) {
  const std::string name = names::dropped_wal(place, dropped);
  Json json;
  json["object"] = name;
  json["first"] = dropped.first;
  json["last"] = dropped.last;
  json["segments"] = dropped.segments;
  json["from"] = dropped.from;
  json["to"] = dropped.to;
  json["host"] = dropped.host;
  json["reason"] = dropped.reason;
  const Bytes record =
      seal_record(ContainerKind::kDroppedWal, repository.keys(), repository.keys().cipher,
                  as_bytes(json.dump(-1, ' ', false, Json::error_handler_t::replace)));
  // Written by an earlier attempt, if it is there: the name says all that counts.
  try_put_once(repository.store(), name, record, ObjectClass::kCatalogue, stop);
}

std::vector<DroppedWal> list_dropped_wal(const Repository& repository, const WalPlace& place,
                                         const std::stop_token& stop) {
  std::vector<std::string> objects;
  for_each_object(repository.store(), names::dropped_wal_prefix(place), stop,
                  [&](const ObjectInfo& object) {
                    objects.push_back(object.name);
                    if (objects.size() > 2 * kMaxDroppedListed) {
                      objects.erase(objects.begin(), objects.begin() + kMaxDroppedListed);
                    }
                  });
  const std::size_t skipped = objects.size() - std::min(objects.size(), kMaxDroppedListed);
  std::vector<DroppedWal> dropped;
  for (std::size_t i = skipped; i < objects.size(); ++i) {
    auto object = repository.store().get(objects[i], stop);
    if (!object) continue;
    const Bytes plain =
        open_record(ContainerKind::kDroppedWal, repository.keys(), std::move(*object), objects[i]);
    dropped.push_back(parse_dropped_wal(plain, objects[i]));
  }
  return dropped;
}

DroppedWal parse_dropped_wal(ByteView plain, std::string_view name) {
  try {
    const Json json = parse_json<Json>(as_text(plain));
    if (json.at("object") != name) {
      throw Error(ErrorKind::kDamage, "damaged object: it is another record",
                  {.object = std::string(name)});
    }
    return {.first = json.at("first"),
            .last = json.at("last"),
            .segments = json.at("segments"),
            .from = json.at("from"),
            .to = json.at("to"),
            .host = json.at("host"),
            .reason = json.at("reason")};
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kDamage, fmt::format("malformed record: {}", error.what()),
                {.object = std::string(name)});
  }
}

std::string describe(const DroppedWal& dropped) {
  return fmt::format("{}{} ({}), {} on {}", dropped.first,
                     dropped.first == dropped.last ? "" : "-" + dropped.last,
                     counted(dropped.segments, "segment"), dropped.to, dropped.host);
}

}  // namespace holdfast
