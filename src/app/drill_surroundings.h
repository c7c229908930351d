#pragma once
// What a drill may draw on, and how it is kept from the rest: by a configuration that has nothing
// else, and by the environment of the copy's server, whose restore_command reads the configuration
// itself. Pure functions.

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "app/config.h"

namespace holdfast {

// From kRepositories on, nothing of what this machine keeps counts: the source's server is not
// looked at and not asked, and WAL is fetched into a state directory of the drill's own. Still of
// this machine: the configuration, the key, and PostgreSQL's programs.
enum class DrillSource {
  kEverything,
  kRepositories,   // all of them
  kOneRepository,  // nothing of the others: no WAL, and they do not stand in for what is damaged
};

// The configuration as one has it who has nothing but the repositories, or one of them.
Config seen_from(const Config& config, const RepositoryConfig& repository, DrillSource source);

// The same for archive-get.
using CopyEnvironment = std::vector<std::pair<std::string, std::string>>;
CopyEnvironment environment_of(const Config& config, const RepositoryConfig& repository,
                               DrillSource source, const std::filesystem::path& state);

}  // namespace holdfast
