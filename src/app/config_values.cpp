// Values of configuration keys: their strict parsing, and what each type looks like in a message.
#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "app/config_keys.h"
#include "core/error.h"
#include "core/text.h"
#include "recover/sql_checks.h"
#include "repository/names.h"
#include "system/cron.h"
#include "system/time_zone.h"

namespace holdfast {
namespace {

constexpr int kZstdLevelMax = 19;
constexpr int kGzipLevelMax = 9;
constexpr int kGzipLevelDefault = 6;

template <class Integer>
std::optional<Integer> parse_integer(std::string_view text) {
  Integer value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_choice(std::string_view choices, std::string_view text) {
  while (true) {
    const std::size_t bar = choices.find('|');
    if (choices.substr(0, bar) == text) return true;
    if (bar == std::string_view::npos) return false;
    choices.remove_prefix(bar + 1);
  }
}

bool is_repository_url(std::string_view text) {
  constexpr std::string_view kFolder = "file:///";
  constexpr std::string_view kBucket = "s3://";
  if (text.starts_with(kFolder)) return text.size() > kFolder.size();
  return text.starts_with(kBucket) && text.size() > kBucket.size() && text[kBucket.size()] != '/';
}

bool is_http_url(std::string_view text) {
  const std::size_t scheme = text.starts_with("https://") ? 8 : text.starts_with("http://") ? 7 : 0;
  return scheme != 0 && text.size() > scheme && text.find('@') == std::string_view::npos;
}

bool is_mail_url(std::string_view text) {
  const std::size_t scheme = text.starts_with("smtps://") ? 8 : text.starts_with("smtp://") ? 7 : 0;
  return scheme != 0 && text.size() > scheme && text.find('@') == std::string_view::npos;
}

bool is_mail_address(std::string_view text) {
  const std::size_t at = text.find('@');
  if (at == std::string_view::npos || at == 0 || at + 1 == text.size()) return false;
  return text.find_first_of("<>, \t\"") == std::string_view::npos &&
         text.find('@', at + 1) == std::string_view::npos;
}

// Empty: never.
bool is_schedule(std::string_view text) {
  if (text.empty()) return true;
  try {
    parse_cron(text);
    return true;
  } catch (const Error&) {
    return false;
  }
}

// Whether `text` is one or more of what `is_one` accepts, with commas between them.
template <class IsOne>
bool is_list(std::string_view text, IsOne is_one) {
  const std::vector<std::string> words = split_list(text);
  return !words.empty() && std::ranges::all_of(words, is_one);
}

std::optional<std::uint64_t> parse_number(const ConfigKey& key, std::string_view text) {
  std::optional<std::uint64_t> number;
  if (key.type == KeyType::kBytes) number = parse_bytes(text);
  if (key.type == KeyType::kCount) number = parse_integer<std::uint64_t>(text);
  if (key.type == KeyType::kDuration) {
    const auto duration = parse_duration(text);
    if (duration) number = static_cast<std::uint64_t>(duration->count());
  }
  if (!number || *number < key.minimum || *number > key.maximum) return std::nullopt;
  return number;
}

bool is_value(const ConfigKey& key, std::string_view text) {
  switch (key.type) {
    case KeyType::kText:
      return true;
    case KeyType::kSql:
      return text.find_first_not_of(" \t\r\n") != std::string_view::npos;
    case KeyType::kExpectation:
      return parse_expectation(text).has_value();
    case KeyType::kPath:
      return text.starts_with('/');
    case KeyType::kName:
      return is_valid_cluster_name(text);
    case KeyType::kUrl:
      return is_repository_url(text);
    case KeyType::kHttpUrl:
      return is_http_url(text);
    case KeyType::kChoice:
      return is_choice(key.choices, text);
    case KeyType::kZone:
      return TimeZone::find(text).has_value();
    case KeyType::kCompression:
      return parse_compression(text).has_value();
    case KeyType::kFlag:
      return text == "true" || text == "false";
    case KeyType::kEvents:
      return is_list(text, [&](const std::string& word) { return is_choice(key.choices, word); });
    case KeyType::kMailUrl:
      return is_mail_url(text);
    case KeyType::kSchedule:
      return is_schedule(text);
    case KeyType::kMails:
      return is_list(text, is_mail_address);
    case KeyType::kBytes:
    case KeyType::kCount:
    case KeyType::kDuration:
      return parse_number(key, text).has_value();
    case KeyType::kSection:
      return false;
  }
  return false;
}

std::string choices_with(const ConfigKey& key, std::string_view between) {
  std::string choices(key.choices);
  for (std::size_t at = 0; (at = choices.find('|', at)) != std::string::npos;) {
    choices.replace(at, 1, between);
    at += between.size();
  }
  return choices;
}

std::string describe_range(const ConfigKey& key) {
  if (key.type == KeyType::kCount) return fmt::format("{} to {}", key.minimum, key.maximum);
  if (key.type == KeyType::kDuration) {
    const auto duration = [](std::uint64_t milliseconds) {
      return human_duration(std::chrono::milliseconds(milliseconds));
    };
    return fmt::format("{} to {}", duration(key.minimum), duration(key.maximum));
  }
  return fmt::format("{} to {}", human_bytes(key.minimum), human_bytes(key.maximum));
}

}  // namespace

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    std::string_view word = text.substr(0, comma);
    while (word.starts_with(' ')) word.remove_prefix(1);
    while (word.ends_with(' ')) word.remove_suffix(1);
    words.emplace_back(word);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return words;
}

std::optional<CompressionChoice> parse_compression(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  std::optional<int> level;
  if (colon != std::string_view::npos) {
    level = parse_integer<int>(text.substr(colon + 1));
    if (!level || *level < 1) return std::nullopt;
  }
  if (name == "zstd" && level.value_or(1) <= kZstdLevelMax) {
    return CompressionChoice{Compression::kZstd, level.value_or(CompressionChoice{}.level)};
  }
  if (name == "gzip" && level.value_or(1) <= kGzipLevelMax) {
    return CompressionChoice{Compression::kGzip, level.value_or(kGzipLevelDefault)};
  }
  if (name == "lz4" && !level) return CompressionChoice{Compression::kLz4};
  if (name == "none" && !level) return CompressionChoice{Compression::kNone};
  return std::nullopt;
}

std::optional<KeyValue> parse_key_value(const ConfigKey& key, std::string_view text) {
  // A NUL or a line end would be cut off or forged further down, in paths and in libpq strings.
  constexpr std::string_view kBad("\0\n\r", 3);
  if (text.find_first_of(kBad.substr(0, key.type == KeyType::kSql ? 1 : 3)) !=
      std::string_view::npos) {
    return std::nullopt;
  }
  if (!is_value(key, text)) return std::nullopt;
  KeyValue value{.text = std::string(text)};
  if (key.type == KeyType::kFlag) value.number = text == "true" ? 1 : 0;
  if (key.type == KeyType::kBytes || key.type == KeyType::kCount ||
      key.type == KeyType::kDuration) {
    value.number = parse_number(key, text).value_or(0);  // is_value() has just parsed it
  }
  return value;
}

std::string describe_type(const ConfigKey& key) {
  switch (key.type) {
    case KeyType::kText:
      return "text on one line";
    case KeyType::kSql:
      return "a statement of SQL";
    case KeyType::kExpectation:
      return std::string(kExpectationForms);
    case KeyType::kPath:
      return "an absolute path";
    case KeyType::kName:
      return "a name of letters, digits, '.', '_' and '-' (1 to 63, beginning with a letter or "
             "digit; not 'keys' or 'repository')";
    case KeyType::kUrl:
      return "file:///folder or s3://bucket/prefix";
    case KeyType::kHttpUrl:
      return "an http:// or https:// URL without user or password";
    case KeyType::kChoice:
      return choices_with(key, " or ");
    case KeyType::kEvents:
      return "a list of " + choices_with(key, ", ");
    case KeyType::kMailUrl:
      return "smtp://host:port or smtps://host:port without user or password";
    case KeyType::kSchedule:
      return "a schedule as cron has it, such as '0 2 * * *', or empty";
    case KeyType::kMails:
      return "addresses such as ops@example.org, with commas between them";
    case KeyType::kZone:
      return "UTC or a time zone of the IANA database such as Europe/Berlin";
    case KeyType::kCompression:
      return "zstd, zstd:1 to zstd:19, lz4, gzip, gzip:1 to gzip:9, or none";
    case KeyType::kBytes:
      return fmt::format("a size such as 64MiB or a number of bytes ({})", describe_range(key));
    case KeyType::kCount:
      return fmt::format("a number from {}", describe_range(key));
    case KeyType::kDuration:
      return fmt::format("a duration such as 5min or 20s ({})", describe_range(key));
    case KeyType::kFlag:
      return "true or false";
    case KeyType::kSection:
      return "a section";
  }
  return "a value";
}

}  // namespace holdfast
