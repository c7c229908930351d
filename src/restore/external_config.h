#pragma once
// Makes configuration that came from outside the source's data directory work inside the restored
// one: settings that name the source's places are commented out, so that PostgreSQL's defaults (the
// restored directory itself) hold, and folders that it includes exist. Everything else stays as it
// was: ports, memory, certificates are the operator's to judge.

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

// No file of PostgreSQL's configuration is read beyond this.
inline constexpr std::size_t kPostgresConfigBytesMax = std::size_t{4} << 20U;

// The text of postgresql.conf for a restored directory. Pure.
std::string relocate_config(std::string_view text);

// Rewrites <data_directory>/postgresql.conf and makes the folders that it includes; returns them.
std::vector<std::filesystem::path> relocate_config_file(
    const std::filesystem::path& data_directory);

}  // namespace holdfast
