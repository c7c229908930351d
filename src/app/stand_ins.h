#pragma once
// The other repositories of the configuration, as what stands in for damage in one.

#include <memory>

#include "app/config.h"
#include "repository/stand_in.h"

namespace holdfast {

// null when there is no other. `config` outlives the result.
std::unique_ptr<StandIns> stand_ins_for(const Config& config, const RepositoryConfig& repository);

}  // namespace holdfast
