#pragma once
// The options that say to which point a recovery goes: `restore` and `drill` have the same.

#include <string>
#include <vector>

#include "app/restore.h"
#include "cli/options.h"

namespace holdfast::cli {

void add_target_options(std::vector<Option>& options, TargetRequest& point, std::string& history);

}  // namespace holdfast::cli
