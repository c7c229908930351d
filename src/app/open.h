#pragma once
// From the configuration to an open repository, and facts about this machine.

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "app/config.h"
#include "core/error.h"
#include "repository/repository.h"
#include "storage/open_store.h"

namespace holdfast {

StoreOptions store_options(const RepositoryConfig& config);
// The key or passphrase that the configuration names; nullopt when none is configured.
std::optional<KeySource> key_source(const EncryptionConfig& config);

void name_repository(Error& error, const RepositoryConfig& config);
// Runs `call`. An error of the store says which repository it met, where it does not say so itself:
// object names are the same in all of them.
template <class Call>
auto in_repository(const RepositoryConfig& config, Call call) {
  try {
    return call();
  } catch (Error& error) {
    name_repository(error, config);
    throw;
  }
}
std::unique_ptr<Repository> open_repository(const RepositoryConfig& config,
                                            const std::stop_token& stop);
struct OpenOptions {
  std::optional<std::chrono::milliseconds> patience = {};  // with one request, retries included
  std::uint64_t rate = 0;                                  // bytes per second; 0: no limit
};
std::unique_ptr<Repository> open_repository(const RepositoryConfig& config,
                                            const OpenOptions& options,
                                            const std::stop_token& stop);

std::string host_name();
// The configured number of jobs; 0 stands for every core this process may use.
std::size_t effective_jobs(unsigned configured);

}  // namespace holdfast
