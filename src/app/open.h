#pragma once
// From the configuration to an open repository, and facts about this machine.

#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "app/config.h"
#include "repository/repository.h"
#include "storage/open_store.h"

namespace holdfast {

StoreOptions store_options(const RepositoryConfig& config);
// The key or passphrase that the configuration names; nullopt when none is configured.
std::optional<KeySource> key_source(const EncryptionConfig& config);

std::unique_ptr<Repository> open_repository(const RepositoryConfig& config,
                                            const std::stop_token& stop);

std::string host_name();
// The configured number of jobs; 0 stands for every core this process may use.
std::size_t effective_jobs(unsigned configured);

}  // namespace holdfast
