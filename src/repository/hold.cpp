#include "repository/hold.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "repository/catalogue.h"
#include "repository/json_text.h"
#include "repository/record_json.h"
#include "repository/tombstone.h"
#include "repository/write_once.h"

namespace holdfast {
namespace {

using Json = nlohmann::ordered_json;
constexpr auto kHoldSeries = names::SeriesKind::kHold;

// Holds that are placed in the same moment take the next number.
constexpr int kHoldAttempts = 20;

struct HoldName {
  BackupName backup;
  std::uint32_t number = 0;
};

std::vector<HoldName> list_under(const Repository& repository, const std::string& prefix,
                                 const std::string& cluster, const HistoryName& history,
                                 const std::stop_token& stop) {
  std::vector<HoldName> found;
  for_each_object(repository.store(), prefix, stop, [&](const ObjectInfo& object) {
    auto name = names::parse_series_record(cluster, history, kHoldSeries, object.name);
    if (!name) return;
    if (found.empty() || found.back().backup.id != name->backup.id) {
      found.push_back({std::move(name->backup), name->number});
    } else {
      found.back().number = std::max(found.back().number, name->number);
    }
  });
  return found;
}

Hold read_hold(const Repository& repository, const HoldName& of, const std::stop_token& stop) {
  const std::string object = names::series_record(of.backup, kHoldSeries, of.number);
  try {
    auto bytes = repository.store().get(object, stop);
    if (!bytes) throw Error(ErrorKind::kDamage, "the hold is missing", {.object = object});
    return parse_hold(
        open_record(ContainerKind::kHold, repository.keys(), std::move(*bytes), object), of.backup,
        of.number);
  } catch (const Error& error) {
    if (!condemns_one_object(error.kind())) throw;
    return {.backup = of.backup,
            .number = of.number,
            .reason = "the record cannot be read: " + error.message()};
  }
}

bool write_record(const Repository& repository, const Hold& hold, const std::stop_token& stop) {
  const std::string object = names::series_record(hold.backup, kHoldSeries, hold.number);
  Json json{{"object", object}, {"held", hold.held}};
  if (hold.until) json["until"] = to_rfc3339(*hold.until);
  json["reason"] = hold.reason;
  json["time"] = hold.time;
  json["by"] = hold.by;
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return try_put_once(repository.store(), object,
                      seal_record(ContainerKind::kHold, repository.keys(), repository.keys().cipher,
                                  as_bytes(text)),
                      ObjectClass::kCatalogue, stop) != WriteOnceOutcome::kOtherContent;
}

std::uint32_t append(const Repository& repository, Hold hold, const std::stop_token& stop) {
  const auto last = last_hold(repository, hold.backup, stop);
  hold.number = last ? last->number + 1 : 1;
  for (int attempt = 0; attempt < kHoldAttempts; ++attempt, ++hold.number) {
    if (write_record(repository, hold, stop)) return hold.number;
  }
  throw Error(ErrorKind::kRepository, "no free number was found for the hold",
              {.object = names::series_prefix(hold.backup, kHoldSeries), .retryable = true});
}

// True when the backup is not going to be deleted (any more).
bool withdraw(const Repository& repository, const Hold& hold, bool& brought_back,
              const std::stop_token& stop) {
  const auto last = last_tombstone(repository, hold.backup, stop);
  if (!last || !is_going(repository, *last, stop)) return true;
  if (last->number % 2 == 0) return false;  // the deletion has begun
  brought_back = write_tombstone(repository,
                                 {.backup = hold.backup,
                                  .number = last->number + 1,
                                  .state = TombstoneState::kWithdrawn,
                                  .by_policy = false,
                                  .reason = "held: " + hold.reason,
                                  .time = hold.time,
                                  .by = hold.by},
                                 stop);
  return brought_back ||
         !is_going(repository, *last_tombstone(repository, hold.backup, stop), stop);
}

}  // namespace

std::string text_of(const Hold& hold) {
  if (!hold.until) return hold.reason;
  return fmt::format("until {}: {}", to_rfc3339_seconds(*hold.until), hold.reason);
}

Hold parse_hold(ByteView plain, const BackupName& backup, std::uint32_t number) {
  const std::string object = names::series_record(backup, kHoldSeries, number);
  try {
    const Json json = parse_json<Json>(as_text(plain));
    if (json.at("object") != object) {
      throw Error(ErrorKind::kDamage, "it is the hold of another backup", {.object = object});
    }
    Hold hold{.backup = backup,
              .number = number,
              .held = json.at("held"),
              .reason = json.at("reason"),
              .time = json.at("time"),
              .by = json.at("by")};
    if (!hold.held) return hold;
    hold.until = parse_rfc3339(json.at("until").get<std::string>());
    if (!hold.until) throw Error(ErrorKind::kDamage, "malformed date", {.object = object});
    return hold;
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kDamage, fmt::format("malformed hold: {}", error.what()),
                {.object = object});
  }
}

std::vector<Hold> list_holds(const Repository& repository, const std::string& cluster,
                             const HistoryName& history, const std::stop_token& stop) {
  std::vector<Hold> holds;
  for (const HoldName& name :
       list_under(repository, names::series_prefix(cluster, history, kHoldSeries), cluster, history,
                  stop)) {
    holds.push_back(read_hold(repository, name, stop));
  }
  return holds;
}

std::optional<Hold> last_hold(const Repository& repository, const BackupName& backup,
                              const std::stop_token& stop) {
  const auto found = list_under(repository, names::series_prefix(backup, kHoldSeries),
                                backup.cluster, backup.history, stop);
  if (found.empty()) return std::nullopt;
  return read_hold(repository, found.front(), stop);
}

HoldPlaced place_hold(const Repository& repository, Hold hold, const std::stop_token& stop) {
  hold.held = true;
  HoldPlaced placed{.number = append(repository, hold, stop)};
  if (withdraw(repository, hold, placed.brought_back, stop)) return placed;
  hold.held = false;
  hold.until.reset();
  append(repository, hold, stop);
  throw Error(ErrorKind::kRefused, "the deletion of this backup has begun; it cannot be held",
              {.object = hold.backup.id.text, .hint = "Hold another backup: see 'holdfast list'."});
}

bool release_hold(const Repository& repository, const BackupName& backup, const std::string& by,
                  const std::stop_token& stop) {
  const auto last = last_hold(repository, backup, stop);
  if (!last || !last->held) return false;
  append(repository,
         {.backup = backup,
          .held = false,
          .reason = "released",
          .time = to_rfc3339_seconds(system_clock().now()),
          .by = by},
         stop);
  return true;
}

}  // namespace holdfast
