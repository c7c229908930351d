#pragma once
// How a recovery is shown, as JSON (docs/json.md) and as text. Pure.

#include <string>

#include "app/recovery.h"
#include "cli/command.h"

namespace holdfast::cli {

Json json_of(const RecoveryView& view);
std::string text_of(const RecoveryView& view, const Style& style);
CommandResult result_of(const RecoveryView& view, const CommandContext& context);

}  // namespace holdfast::cli
