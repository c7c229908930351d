#include "repository/names.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "core/bytes.h"
#include "seal/secret.h"

namespace holdfast {
namespace {

template <class Integer>
std::optional<Integer> parse_decimal(std::string_view text) {
  Integer value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

std::string to_string(const HistoryName& history) {
  return fmt::format("{:04}-{}", history.number, history.system_identifier);
}

std::optional<HistoryName> parse_history_name(std::string_view text) {
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto number = parse_decimal<std::uint32_t>(text.substr(0, dash));
  const auto system = parse_decimal<std::uint64_t>(text.substr(dash + 1));
  if (!number || !system) return std::nullopt;
  const HistoryName name{*number, *system};
  if (to_string(name) != text) return std::nullopt;  // one spelling only
  return name;
}

BackupId new_backup_id(Timestamp now) {
  std::array<std::byte, 2> random{};
  fill_random(random);
  return {fmt::format("{}-{}", to_compact(now), to_hex(random))};
}

std::optional<BackupId> parse_backup_id(std::string_view text) {
  static constexpr std::string_view kShape = "ddddddddTddddddZ-xxxx";
  if (text.size() != kShape.size()) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool digit = c >= '0' && c <= '9';
    const bool fits = kShape[i] == 'd'   ? digit
                      : kShape[i] == 'x' ? digit || (c >= 'a' && c <= 'f')
                                         : c == kShape[i];
    if (!fits) return std::nullopt;
  }
  return BackupId{std::string(text)};
}

bool is_valid_cluster_name(std::string_view name) {
  if (name.empty() || name.size() > 63 || !is_letter_or_digit(name[0])) return false;
  if (name == "keys" || name == names::kDescriptor) return false;
  return std::ranges::all_of(
      name, [](char c) { return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-'; });
}

namespace names {

std::string key_generation(std::uint32_t generation) {
  return fmt::format("{}{:04}", kKeysPrefix, generation);
}

std::optional<std::uint32_t> parse_key_generation(std::string_view name) {
  if (!name.starts_with(kKeysPrefix)) return std::nullopt;
  const auto number = parse_decimal<std::uint32_t>(name.substr(kKeysPrefix.size()));
  if (!number || *number == 0 || key_generation(*number) != name) return std::nullopt;
  return number;
}

std::string cluster_prefix(std::string_view cluster) {
  return fmt::format("{}/", cluster);
}

std::string history_prefix(std::string_view cluster, const HistoryName& history) {
  return fmt::format("{}/{}/", cluster, to_string(history));
}

std::string history(std::string_view cluster, const HistoryName& history) {
  return history_prefix(cluster, history) + "history";
}

std::string backups_prefix(std::string_view cluster, const HistoryName& history) {
  return history_prefix(cluster, history) + "backup/";
}

std::string backup_prefix(const BackupName& backup) {
  return fmt::format("{}{}/", backups_prefix(backup.cluster, backup.history), backup.id.text);
}

std::string begin(const BackupName& backup) {
  return backup_prefix(backup) + "begin";
}
std::string manifest(const BackupName& backup) {
  return backup_prefix(backup) + "manifest";
}
std::string outcome(const BackupName& backup) {
  return backup_prefix(backup) + "outcome";
}

std::string pack(const BackupName& backup, PackKind kind, std::uint32_t number) {
  return fmt::format("{}{}/{:06}", backup_prefix(backup), kind == PackKind::kData ? "pack" : "map",
                     number);
}

std::string proofs_prefix(const BackupName& backup) {
  return backup_prefix(backup) + "proof/";
}

std::string proof(const BackupName& backup, std::uint32_t number) {
  return fmt::format("{}{:04}", proofs_prefix(backup), number);
}

std::optional<std::uint32_t> parse_proof(const BackupName& backup, std::string_view name) {
  const std::string prefix = proofs_prefix(backup);
  if (!name.starts_with(prefix)) return std::nullopt;
  const auto number = parse_decimal<std::uint32_t>(name.substr(prefix.size()));
  if (!number || *number == 0 || proof(backup, *number) != name) return std::nullopt;
  return number;
}

std::string series_prefix(std::string_view cluster, const HistoryName& history, SeriesKind kind) {
  return history_prefix(cluster, history) + (kind == SeriesKind::kHold ? "hold/" : "tombstone/");
}

std::string series_prefix(const BackupName& backup, SeriesKind kind) {
  return series_prefix(backup.cluster, backup.history, kind) + backup.id.text + "/";
}

std::string series_record(const BackupName& backup, SeriesKind kind, std::uint32_t number) {
  return fmt::format("{}{:04}", series_prefix(backup, kind), number);
}

std::optional<SeriesName> parse_series_record(std::string_view cluster, const HistoryName& history,
                                              SeriesKind kind, std::string_view name) {
  const std::string prefix = series_prefix(cluster, history, kind);
  if (!name.starts_with(prefix)) return std::nullopt;
  const std::string_view rest = name.substr(prefix.size());
  const auto slash = rest.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto id = parse_backup_id(rest.substr(0, slash));
  const auto number = parse_decimal<std::uint32_t>(rest.substr(slash + 1));
  if (!id || !number || *number == 0) return std::nullopt;
  SeriesName parsed{{std::string(cluster), history, *id}, *number};
  if (series_record(parsed.backup, kind, *number) != name) return std::nullopt;
  return parsed;
}

std::string intents_prefix(std::string_view cluster, const HistoryName& history) {
  return history_prefix(cluster, history) + "intent/";
}

std::string intents_prefix(const BackupName& cited) {
  return intents_prefix(cited.cluster, cited.history) + cited.id.text + "/";
}

std::string intent(const IntentName& intent) {
  return fmt::format("{}{}/{}", intents_prefix(intent.cited), to_string(intent.citing.history),
                     intent.citing.id.text);
}

std::optional<IntentName> parse_intent(std::string_view cluster, const HistoryName& history,
                                       std::string_view name) {
  const std::string prefix = intents_prefix(cluster, history);
  if (!name.starts_with(prefix)) return std::nullopt;
  const std::string_view rest = name.substr(prefix.size());
  const auto first = rest.find('/');
  const auto last = rest.rfind('/');
  if (first == std::string_view::npos || first == last) return std::nullopt;
  const auto cited = parse_backup_id(rest.substr(0, first));
  const auto citing_history = parse_history_name(rest.substr(first + 1, last - first - 1));
  const auto citing = parse_backup_id(rest.substr(last + 1));
  if (!cited || !citing_history || !citing) return std::nullopt;
  return IntentName{{std::string(cluster), history, *cited},
                    {std::string(cluster), *citing_history, *citing}};
}

}  // namespace names
}  // namespace holdfast
