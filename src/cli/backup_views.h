#pragma once
// How backups look, as JSON and as text; shared by backup, list and show.

#include "app/operations.h"
#include "cli/command.h"

namespace holdfast::cli {

// The JSON form of a backup, documented in docs/json.md.
Json json_of(const BackupInfo& info);
Json json_of(const CatalogueEntry& entry);
std::string text_of(const BackupInfo& info, const Style& style);

}  // namespace holdfast::cli
