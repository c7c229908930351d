#pragma once
// `window` from the configuration: what can be recovered from one repository.

#include <stop_token>
#include <vector>

#include "app/config.h"
#include "repository/recoverable_window.h"

namespace holdfast {

// kNotFound when the repository does not hold the cluster.
std::vector<HistoryWindow> window(const Config& config, const RepositoryConfig& repository,
                                  const std::stop_token& stop);

}  // namespace holdfast
