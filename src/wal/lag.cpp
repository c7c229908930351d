#include "wal/lag.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/counted.h"
#include "repository/json_text.h"
#include "system/files.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxLagBytes = std::size_t{1} << 20U;

fs::path path_of(const fs::path& state_directory, const std::string& repository) {
  return state_directory / "wal" / ("lag-" + repository + ".json");
}

std::optional<Timestamp> time_in(const Json& json, const char* key) {
  return json.contains(key) ? parse_rfc3339(json.at(key).get<std::string>()) : std::nullopt;
}

}  // namespace

std::optional<RepositoryLag> read_lag(const fs::path& state_directory,
                                      const std::string& repository) {
  const auto text = read_file(path_of(state_directory, repository), kMaxLagBytes);
  if (!text) return std::nullopt;
  try {
    const Json json = parse_json<Json>(*text);
    RepositoryLag lag{.repository = json.at("repository"),
                      .url = json.at("url"),
                      .first_url = json.at("first_url"),
                      .ids = json.value("ids", ""),
                      .checked = time_in(json, "checked").value_or(Timestamp{}),
                      .missing = json.at("missing"),
                      .oldest = json.at("oldest"),
                      .behind_since = time_in(json, "behind_since"),
                      .failure = json.at("failure"),
                      .compared = time_in(json, "compared")};
    lag.complete_until = json.at("complete_until");
    lag.there_until = json.at("there_until");
    return lag;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

void write_lag(const fs::path& state_directory, const RepositoryLag& lag) {
  Json json{{"repository", lag.repository},   {"url", lag.url},
            {"first_url", lag.first_url},     {"checked", to_rfc3339(lag.checked)},
            {"missing", lag.missing},         {"oldest", lag.oldest},
            {"failure", lag.failure},         {"complete_until", lag.complete_until},
            {"there_until", lag.there_until}, {"ids", lag.ids}};
  if (lag.behind_since) json["behind_since"] = to_rfc3339(*lag.behind_since);
  if (lag.compared) json["compared"] = to_rfc3339(*lag.compared);
  publish_unsynced(path_of(state_directory, lag.repository), as_bytes(json.dump(1)), 0600);
}

std::string describe(const RepositoryLag& lag) {
  std::string text = lag.repository;
  if (lag.missing > 0) {
    text += fmt::format(" lacks {}, the oldest {}", counted(lag.missing, "WAL file"), lag.oldest);
  } else {
    text += " is behind";
  }
  if (lag.behind_since) text += ", since " + to_rfc3339_seconds(*lag.behind_since);
  if (!lag.failure.empty()) text += ": " + lag.failure;
  return text;
}

}  // namespace holdfast
