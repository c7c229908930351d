#pragma once
// Names of the objects in a repository: the only place that builds or takes apart such a name.
// The full table, with what each object holds and which command writes it, is in
// docs/repository-format.md.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/time.h"

namespace holdfast {

// One line of WAL and backups of a cluster (invariant 6): "0001-7340123456789012345".
struct HistoryName {
  std::uint32_t number = 1;
  std::uint64_t system_identifier = 0;
  bool operator==(const HistoryName&) const = default;
};
std::string to_string(const HistoryName& history);
std::optional<HistoryName> parse_history_name(std::string_view text);

// "20261122T020000Z-3f9a": start time in UTC and four random hexadecimal digits. Sorts by time.
struct BackupId {
  std::string text;
  auto operator<=>(const BackupId&) const = default;
};
BackupId new_backup_id(Timestamp now);
std::optional<BackupId> parse_backup_id(std::string_view text);

// A backup's place: everything of it lives under "<cluster>/<history>/backup/<id>/".
struct BackupName {
  std::string cluster;
  HistoryName history;
  BackupId id;
  bool operator==(const BackupName&) const = default;
};

// Letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 63 characters, and
// not "keys" or "repository".
bool is_valid_cluster_name(std::string_view name);

namespace names {

inline const std::string kDescriptor = "repository";
std::string key_generation(std::uint32_t generation);  // "keys/0001"
inline const std::string kKeysPrefix = "keys/";
std::optional<std::uint32_t> parse_key_generation(std::string_view name);

std::string cluster_prefix(std::string_view cluster);                              // "c/"
std::string history_prefix(std::string_view cluster, const HistoryName& history);  // "c/0001-…/"
std::string history(std::string_view cluster, const HistoryName& history);         // "…/history"
std::string backups_prefix(std::string_view cluster, const HistoryName& history);  // "…/backup/"

std::string backup_prefix(const BackupName& backup);  // "…/backup/<id>/"
std::string begin(const BackupName& backup);
std::string manifest(const BackupName& backup);
std::string outcome(const BackupName& backup);
enum class PackKind : std::uint8_t { kData = 1, kMap = 2 };
// "…/pack/000001" or "…/map/000001", numbered from 1.
std::string pack(const BackupName& backup, PackKind kind, std::uint32_t number);
std::string proofs_prefix(const BackupName& backup);                // "…/proof/"
std::string proof(const BackupName& backup, std::uint32_t number);  // "…/proof/0001"
std::optional<std::uint32_t> parse_proof(const BackupName& backup, std::string_view name);

// Records about a backup that stand beside its folder, so that one listing tells all of a history:
// "…/tombstone/<id>/0001", "…/hold/<id>/0001". The highest number counts.
enum class SeriesKind : std::uint8_t { kTombstone, kHold };
std::string series_prefix(std::string_view cluster, const HistoryName& history, SeriesKind kind);
std::string series_prefix(const BackupName& backup, SeriesKind kind);
std::string series_record(const BackupName& backup, SeriesKind kind, std::uint32_t number);
struct SeriesName {
  BackupName backup;
  std::uint32_t number = 0;
};
std::optional<SeriesName> parse_series_record(std::string_view cluster, const HistoryName& history,
                                              SeriesKind kind, std::string_view name);

// "…/intent/<id of the cited>/<history of the citing>/<id of the citing>", in the cited one's
// history.
std::string intents_prefix(std::string_view cluster, const HistoryName& history);
std::string intents_prefix(const BackupName& cited);
struct IntentName {
  BackupName cited;
  BackupName citing;
  bool operator==(const IntentName&) const = default;
};
std::string intent(const IntentName& intent);
std::optional<IntentName> parse_intent(std::string_view cluster, const HistoryName& history,
                                       std::string_view name);

}  // namespace names
}  // namespace holdfast
