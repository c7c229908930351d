#pragma once
// The drills of the calendar: what each proves, and so what it takes where the command line leaves
// it open. Whatever is given there, or under `drill` in the configuration, goes first.
//
//   monthly    that any moment can be reached: to one by chance behind the latest backup, else of
//              the window
//   quarterly  that the repositories are enough: everything, to the end of the archive, with
//   nothing
//              of what this machine keeps
//   yearly     that the cold repository alone is enough: a backup by chance, as quarterly, and
//              nothing of another repository; what is frozen is thawed where the configuration
//              consents to the cost
// Errors: kConfiguration when there is no cold repository. Threads: any.

#include <string>

#include "app/config.h"
#include "app/drill.h"

namespace holdfast {

// Completes `request`; returns the name of the repository to use. `asked`: that of --repo, or
// empty.
std::string apply_preset(const Config& config, DrillPreset preset, const std::string& asked,
                         DrillRequest& request);

// Of the yearly drill; nullptr: none is cold.
const RepositoryConfig* cold_repository(const Config& config);
// Whether it cannot be done without a thaw to which nobody has consented.
bool wants_consent_to_thaw(const Config& config, const RepositoryConfig& cold);

}  // namespace holdfast
