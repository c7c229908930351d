#include "repository/tombstone.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "repository/catalogue.h"
#include "repository/json_text.h"
#include "repository/record_json.h"
#include "repository/write_once.h"

namespace holdfast {
namespace {

using Json = nlohmann::ordered_json;

bool is_mark(std::uint32_t number) {
  return number % 2 == 1;
}

TombstoneState state_of(const std::string& text, const std::string& name) {
  for (const TombstoneState state :
       {TombstoneState::kMarked, TombstoneState::kWithdrawn, TombstoneState::kDeleting}) {
    if (text == to_string(state)) return state;
  }
  throw Error(ErrorKind::kDamage, "malformed tombstone: an unknown state", {.object = name});
}

}  // namespace

std::string_view to_string(TombstoneState state) {
  switch (state) {
    case TombstoneState::kMarked:
      return "marked";
    case TombstoneState::kWithdrawn:
      return "withdrawn";
    case TombstoneState::kDeleting:
      return "deleting";
  }
  return "unknown";
}

std::vector<TombstoneName> list_tombstones(const Repository& repository, const std::string& cluster,
                                           const HistoryName& history,
                                           const std::stop_token& stop) {
  constexpr auto kKind = names::SeriesKind::kTombstone;
  std::vector<TombstoneName> found;
  for_each_object(
      repository.store(), names::series_prefix(cluster, history, kKind), stop,
      [&](const ObjectInfo& object) {
        auto name = names::parse_series_record(cluster, history, kKind, object.name);
        if (!name) return;
        if (found.empty() || found.back().backup.id != name->backup.id) {
          found.push_back({std::move(name->backup), name->number, object.modified});
        } else if (found.back().number < name->number) {  // "10000" is listed before "9999"
          found.back().number = name->number;
          found.back().written = object.modified;
        }
      });
  return found;
}

std::optional<TombstoneName> last_tombstone(const Repository& repository, const BackupName& backup,
                                            const std::stop_token& stop) {
  constexpr auto kKind = names::SeriesKind::kTombstone;
  std::optional<TombstoneName> last;
  for_each_object(
      repository.store(), names::series_prefix(backup, kKind), stop, [&](const ObjectInfo& object) {
        const auto name =
            names::parse_series_record(backup.cluster, backup.history, kKind, object.name);
        if (!name || (last && last->number > name->number)) return;
        last = TombstoneName{backup, name->number, object.modified};
      });
  return last;
}

Tombstone parse_tombstone(ByteView plain, const BackupName& backup, std::uint32_t number) {
  const std::string name = names::series_record(backup, names::SeriesKind::kTombstone, number);
  try {
    const Json json = parse_json<Json>(as_text(plain));
    if (json.at("object") != name) {
      throw Error(ErrorKind::kDamage, "damaged object: it is the tombstone of another backup",
                  {.object = name});
    }
    Tombstone tombstone{.backup = backup,
                        .number = number,
                        .state = state_of(json.at("state"), name),
                        .by_policy = json.at("by_policy"),
                        .reason = json.at("reason"),
                        .time = json.at("time"),
                        .by = json.at("by")};
    if (is_mark(number) != (tombstone.state == TombstoneState::kMarked)) {
      throw Error(ErrorKind::kDamage, "malformed tombstone: its number has another meaning",
                  {.object = name});
    }
    return tombstone;
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kDamage, fmt::format("malformed tombstone: {}", error.what()),
                {.object = name});
  }
}

Tombstone read_tombstone(const Repository& repository, const TombstoneName& of,
                         const std::stop_token& stop) {
  const std::string name =
      names::series_record(of.backup, names::SeriesKind::kTombstone, of.number);
  auto object = repository.store().get(name, stop);
  if (!object) throw Error(ErrorKind::kDamage, "the tombstone is missing", {.object = name});
  const Bytes plain =
      open_record(ContainerKind::kTombstone, repository.keys(), std::move(*object), name);
  return parse_tombstone(plain, of.backup, of.number);
}

bool write_tombstone(const Repository& repository, const Tombstone& tombstone,
                     const std::stop_token& stop) {
  HF_INVARIANT(tombstone.number > 0);
  HF_INVARIANT(is_mark(tombstone.number) == (tombstone.state == TombstoneState::kMarked));
  const std::string name =
      names::series_record(tombstone.backup, names::SeriesKind::kTombstone, tombstone.number);
  const Json json{{"object", name},
                  {"state", to_string(tombstone.state)},
                  {"by_policy", tombstone.by_policy},
                  {"reason", tombstone.reason},
                  {"time", tombstone.time},
                  {"by", tombstone.by}};
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return try_put_once(repository.store(), name,
                      seal_record(ContainerKind::kTombstone, repository.keys(),
                                  repository.keys().cipher, as_bytes(text)),
                      ObjectClass::kCatalogue, stop) != WriteOnceOutcome::kOtherContent;
}

bool is_going(const Repository& repository, const TombstoneName& last,
              const std::stop_token& stop) {
  if (is_mark(last.number)) return true;
  try {
    return read_tombstone(repository, last, stop).state != TombstoneState::kWithdrawn;
  } catch (const Error& error) {
    if (condemns_one_object(error.kind())) return true;
    throw;
  }
}

bool is_tombstoned(const Repository& repository, const BackupName& backup,
                   const std::stop_token& stop) {
  const auto last = last_tombstone(repository, backup, stop);
  if (last && is_going(repository, *last, stop)) return true;
  try {
    const auto outcome = read_outcome(repository, backup, stop);
    return outcome && !outcome->committed;
  } catch (const Error& error) {
    if (condemns_one_object(error.kind())) return true;
    throw;
  }
}

}  // namespace holdfast
