#include "app/push_failure.h"

#include <nlohmann/json.hpp>

#include "core/redact.h"
#include "repository/json_text.h"
#include "system/files.h"

namespace holdfast {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kFailureBytesMax = std::size_t{64} << 10U;

std::filesystem::path failure_path(const Config& config) {
  return config.state_directory / "wal" / "push-failure.json";
}

}  // namespace

void note_push_failure(const Config& config, const std::string& file, const Error& error) noexcept {
  try {
    std::string message = error.message();
    if (!error.object().empty() && message.find(error.object()) == std::string::npos) {
      message += " (" + error.object() + ")";
    }
    const Json json{{"time", to_rfc3339(system_clock().now())},
                    {"file", file},
                    {"message", redact_secrets(message)},
                    {"hint", redact_secrets(error.hint())}};
    const std::string text = json.dump(1, ' ', false, Json::error_handler_t::replace);
    publish_unsynced(failure_path(config), as_bytes(text), 0600);
  } catch (const std::exception&) {
    // It only informs; what failed is told to PostgreSQL all the same.
  }
}

std::optional<PushFailure> last_push_failure(const Config& config) {
  try {
    const auto text = read_file(failure_path(config), kFailureBytesMax);
    if (!text) return std::nullopt;
    const Json json = parse_json<Json>(*text);
    const auto time = parse_rfc3339(json.at("time").get<std::string>());
    if (!time) return std::nullopt;
    return PushFailure{*time, json.at("file"), json.at("message"), json.at("hint")};
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

}  // namespace holdfast
