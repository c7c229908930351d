#include "wal/push_spool.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "repository/json_text.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxEntryBytes = std::size_t{64} << 10U;
constexpr std::string_view kEntrySuffix = ".stored", kClaimSuffix = ".claim";
constexpr std::chrono::hours kLeftoverAge{1};

fs::path folder_of(const fs::path& state_directory) {
  return state_directory / "wal" / "push";
}

std::chrono::seconds age_of(const fs::path& path) {
  std::error_code error;
  const auto written = fs::last_write_time(path, error);
  if (error) return std::chrono::seconds::max();
  return std::chrono::duration_cast<std::chrono::seconds>(fs::file_time_type::clock::now() -
                                                          written);
}

}  // namespace

void forget_pushed(const fs::path& state_directory) {
  std::error_code error;
  fs::directory_iterator entry(folder_of(state_directory), error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::error_code ignored;
    if (entry->path().extension() == kEntrySuffix) fs::remove(entry->path(), ignored);
  }
}

PushSpool::PushSpool(const fs::path& state_directory) : folder_(folder_of(state_directory)) {
  make_folders(folder_, 0700);
}

fs::path PushSpool::entry_path(const std::string& file) const {
  return folder_ / (file + std::string(kEntrySuffix));
}

void PushSpool::remember(const PushEntry& entry) {
  Json json;
  json["cluster"] = entry.cluster;
  json["history"] = to_string(entry.history);
  json["bound"] = entry.bound;
  json["file"] = entry.file;
  json["bytes"] = entry.bytes;
  json["content_xxh3_128"] = to_hex(entry.content);
  json["stored_in"] = entry.stored_in;
  publish_unsynced(entry_path(entry.file), as_bytes(json.dump()), 0600);
}

std::optional<PushEntry> PushSpool::find(const std::string& file) const {
  const fs::path path = entry_path(file);
  const auto text = read_file(path, kMaxEntryBytes);
  if (!text || !has(file)) return std::nullopt;
  try {
    const Json json = parse_json<Json>(*text);
    const auto history = parse_history_name(json.at("history").get<std::string>());
    const Bytes content = from_hex(json.at("content_xxh3_128").get<std::string>());
    if (!history || content.size() != sizeof(Checksum128)) return std::nullopt;
    PushEntry entry{.cluster = json.at("cluster"),
                    .history = *history,
                    .bound = json.at("bound"),
                    .file = json.at("file"),
                    .bytes = json.at("bytes"),
                    .stored_in = json.at("stored_in"),
                    .age = std::max(age_of(path), std::chrono::seconds(0))};
    std::ranges::copy(content, entry.content.begin());
    return entry;
  } catch (const Json::exception&) {
    return std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

bool PushSpool::has(const std::string& file) const {
  const std::chrono::seconds age = age_of(entry_path(file));
  // A clock that was set back makes an entry of the future: not believed either.
  return age <= kEntryLifetime && age >= std::chrono::seconds(-1);
}

void PushSpool::forget(const std::string& file) {
  std::error_code ignored;
  fs::remove(entry_path(file), ignored);
}

void PushSpool::remove_outdated() {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    if (age_of(entry.path()) > kLeftoverAge) fs::remove(entry.path(), ignored);
  }
}

std::optional<PushClaim> PushSpool::try_claim(const std::string& file) const {
  fs::path path = folder_ / (file + std::string(kClaimSuffix));
  auto lock = FileLock::try_acquire(path);
  if (!lock) return std::nullopt;
  return PushClaim(std::move(*lock), std::move(path));
}

PushClaim::~PushClaim() {
  // Still locked. Who opened it before holds a lock that nobody else sees: at worst a file is
  // pushed twice.
  std::error_code ignored;
  if (!path_.empty()) fs::remove(path_, ignored);
}

}  // namespace holdfast
