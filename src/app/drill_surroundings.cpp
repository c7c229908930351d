#include "app/drill_surroundings.h"

#include "app/config_keys.h"

namespace holdfast {

Config seen_from(const Config& config, const RepositoryConfig& repository, DrillSource source) {
  Config seen = config;
  if (source == DrillSource::kEverything) return seen;
  seen.postgres.data_directory.clear();
  seen.postgres.primary_connection.clear();
  if (source == DrillSource::kOneRepository) {
    seen.repositories = {repository};
    seen.repositories.front().wal = true;
  }
  return seen;
}

CopyEnvironment environment_of(const Config& config, const RepositoryConfig& repository,
                               DrillSource source, const std::filesystem::path& state) {
  CopyEnvironment environment;
  if (source == DrillSource::kEverything) return environment;
  environment.emplace_back(environment_name(*find_config_key("state_directory"), ""), state);
  if (source == DrillSource::kRepositories) return environment;
  const ConfigKey& wal = *find_config_key("repositories[].wal");
  for (const RepositoryConfig& each : config.repositories) {
    environment.emplace_back(environment_name(wal, each.name),
                             each.name == repository.name ? "true" : "false");
  }
  return environment;
}

}  // namespace holdfast
