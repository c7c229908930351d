#pragma once
// --as-of of the commands that read: the repository as it was.

#include <optional>
#include <string>
#include <vector>

#include "app/as_of.h"
#include "cli/command.h"

namespace holdfast::cli {

inline Option as_of_option(std::optional<std::string>& into) {
  return text_option(
      {"--as-of", "TIME", "See the repository as it was then; of a bucket with versioning"}, into);
}

// Before the first use of the configuration's repositories.
inline void apply_as_of(const std::optional<std::string>& as_of, CommandContext& context,
                        const std::string& repository) {
  if (as_of) see_as_of(context.config(), repository, *as_of);
}
inline void apply_as_of(const std::optional<std::string>& as_of, CommandContext& context) {
  apply_as_of(as_of, context, context.globals().repo);
}

}  // namespace holdfast::cli
