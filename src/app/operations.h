#pragma once
// The commands' work, from the configuration: what the command line (and later an agent) calls.
// Each returns what was done as plain data, or throws Error. Nothing is printed here. `init`,
// `check`, `key`, `restore` and archiving have files of their own.

#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "app/config.h"
#include "backup/backup.h"
#include "core/progress.h"
#include "repository/catalogue.h"
#include "repository/hold.h"

namespace holdfast {

struct BackupRequest {
  std::string label, reason;
  std::map<std::string, std::string> annotations;
  BackupType type = BackupType::kIncremental;
  bool standalone = false;  // carry the WAL inside, also where it is archived
  bool reread = false;      // of an incremental one: read and compare everything
};
BackupResult backup(const Config& config, const RepositoryConfig& repository,
                    const BackupRequest& request, Progress& progress, const std::stop_token& stop);

std::vector<CatalogueEntry> list(const Config& config, const RepositoryConfig& repository,
                                 const std::stop_token& stop);
struct BackupDetails {
  CatalogueEntry entry;      // with its proof
  std::optional<Hold> hold;  // the last one, also when it has ended; nullopt: never, or released
  bool held = false;         // now, by the repository's clock
  // What is freed when this one alone is deleted (expire/freed_bytes.h); nullopt where the manifest
  // of another one cannot be read, and `unknown_because` says so.
  std::optional<std::uint64_t> freed_bytes;
  std::string unknown_because;
};
BackupDetails show(const Config& config, const RepositoryConfig& repository,
                   const std::string& wanted, const std::stop_token& stop);

}  // namespace holdfast
