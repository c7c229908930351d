#pragma once
// The options of commands that read packs, for what lies in a frozen storage class.

#include <optional>
#include <vector>

#include "app/thaw.h"
#include "cli/options.h"

namespace holdfast::cli {

struct ThawOptions {
  std::optional<ThawSpeed> speed;
  bool yes = false;

  ThawChoice choice() const {
    return {.speed = speed, .confirmed = yes ? Confirmed::kYes : Confirmed::kNo};
  }
};

// `yes_help`: what --yes confirms.
inline void add_thaw_options(std::vector<Option>& options, ThawOptions& thaw,
                             const char* yes_help = "Confirm what --thaw costs") {
  options.push_back(choice_option<ThawSpeed>(
      {"--thaw", "Bring back what is in a frozen storage class, and wait for it"},
      {{"bulk", ThawSpeed::kBulk},
       {"standard", ThawSpeed::kStandard},
       {"expedited", ThawSpeed::kExpedited}},
      thaw.speed));
  options.push_back(switch_option({"--yes", yes_help}, thaw.yes));
}

}  // namespace holdfast::cli
