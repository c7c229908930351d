#include "wal/drop_ledger.h"

#include <algorithm>
#include <thread>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "repository/json_text.h"
#include "system/files.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxLedgerBytes = std::size_t{1} << 20U;
// Of those that are recorded in a repository; older ones are told by that.
constexpr std::size_t kRecordedKept = 100;
constexpr std::chrono::milliseconds kLockPause{5};
constexpr std::chrono::seconds kLockPatience{10};

FileLock lock_ledger(const fs::path& path) {
  const auto until = std::chrono::steady_clock::now() + kLockPatience;
  for (;;) {
    if (auto lock = FileLock::try_acquire(path.string() + ".lock")) return std::move(*lock);
    if (std::chrono::steady_clock::now() > until) {
      throw Error(ErrorKind::kHost, "another process keeps the list of dropped WAL locked",
                  {.object = path.string(), .retryable = true});
    }
    std::this_thread::sleep_for(kLockPause);
  }
}

bool goes_on(const DropEntry& entry, SegmentName segment, WalSegmentSize size) {
  const auto last = parse_segment_name(entry.what.last, size);
  return entry.recorded_in.empty() && last && last->timeline == segment.timeline &&
         last->number + 1 == segment.number;
}

Json json_of(const DropEntry& entry) {
  const DroppedWal& what = entry.what;
  return {{"first", what.first},
          {"last", what.last},
          {"segments", what.segments},
          {"from", what.from},
          {"to", what.to},
          {"host", what.host},
          {"reason", what.reason},
          {"recorded_in", entry.recorded_in}};
}

DropEntry entry_in(const Json& json) {
  return {.what = {.first = json.at("first"),
                   .last = json.at("last"),
                   .segments = json.at("segments"),
                   .from = json.at("from"),
                   .to = json.at("to"),
                   .host = json.at("host"),
                   .reason = json.at("reason")},
          .recorded_in = json.at("recorded_in")};
}

}  // namespace

DropLedger::DropLedger(const fs::path& state_directory)
    : path_(state_directory / "wal" / "dropped.json") {}

DropLedger::Content DropLedger::read() const {
  const auto text = read_file(path_, kMaxLedgerBytes);
  if (!text) return {};
  try {
    const Json json = parse_json<Json>(*text);
    Content content;
    for (const Json& entry : json.at("dropped")) content.entries.push_back(entry_in(entry));
    content.owed = json.at("owed");
    content.failed = json.value("failed", "");
    return content;
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kDamage, fmt::format("malformed: {}", error.what()),
                {.object = path_.string(),
                 .hint = "It says which WAL was dropped without being stored. Set it aside, and "
                         "take a backup."});
  }
}

template <class Change>
void DropLedger::change(Change change) {
  make_folders(path_.parent_path(), 0700);
  const FileLock lock = lock_ledger(path_);
  Content content = read();
  change(content);
  const auto recorded = static_cast<std::size_t>(std::ranges::count_if(
      content.entries, [](const DropEntry& entry) { return !entry.recorded_in.empty(); }));
  for (std::size_t i = kRecordedKept; i < recorded; ++i) {
    content.entries.erase(std::ranges::find_if(
        content.entries, [](const DropEntry& entry) { return !entry.recorded_in.empty(); }));
  }
  Json json{{"dropped", Json::array()}, {"owed", content.owed}, {"failed", content.failed}};
  for (const DropEntry& entry : content.entries) json["dropped"].push_back(json_of(entry));
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > kMaxLedgerBytes) {
    throw Error(ErrorKind::kHost, "the list of dropped WAL is full", {.object = path_.string()});
  }
  write_durably(path_, as_bytes(text), 0600, Overwrite::kYes);
}

void DropLedger::drop(const Drop& drop) {
  const auto segment = parse_segment_name(drop.segment, drop.segment_size);
  HF_INVARIANT(segment.has_value());
  change([&](Content& content) {
    const std::string now = to_rfc3339(drop.at);
    if (!content.entries.empty() && goes_on(content.entries.back(), *segment, drop.segment_size)) {
      DroppedWal& last = content.entries.back().what;
      last.last = drop.segment;
      ++last.segments;
      last.to = now;
      return;
    }
    // PostgreSQL asks again when it did not get the answer.
    if (!content.entries.empty() && content.entries.back().what.last == drop.segment) return;
    content.entries.push_back({.what = {.first = drop.segment,
                                        .last = drop.segment,
                                        .segments = 1,
                                        .from = now,
                                        .to = now,
                                        .host = drop.host,
                                        .reason = drop.reason},
                               .recorded_in = {}});
  });
}

void DropLedger::owe(const std::string& file) {
  change([&](Content& content) {
    if (std::ranges::find(content.owed, file) == content.owed.end()) content.owed.push_back(file);
  });
}

void DropLedger::failed(Timestamp at) {
  change([&](Content& content) { content.failed = to_rfc3339(at); });
}

std::optional<Timestamp> DropLedger::last_failure() const {
  return parse_rfc3339(read().failed);
}

bool DropLedger::empty() const {
  std::error_code error;
  return !fs::exists(path_, error);
}

std::vector<DropEntry> DropLedger::entries() const {
  return read().entries;
}

std::vector<std::string> DropLedger::owed() const {
  return read().owed;
}

void DropLedger::paid(const std::string& file) {
  change([&](Content& content) { std::erase(content.owed, file); });
}

void DropLedger::recorded(const DroppedWal& what, const std::string& repository_url) {
  change([&](Content& content) {
    for (DropEntry& entry : content.entries) {
      if (entry.what.first == what.first && entry.what.last == what.last) {
        entry.recorded_in.push_back(repository_url);
      }
    }
  });
}

}  // namespace holdfast
