#pragma once
// systemd's services and timers for everything that has to happen by itself.
//
// Which: a backup by backup.schedule, unless that is empty; a check and a status every hour; a
//   verification of the latest backup every week; a drill on the first Sunday of the month; one
//   with nothing but
//   the repositories on the second Sunday of each quarter; where a repository is cold, one from
//   there in February, unless that needs a thaw to whose cost nobody consented
//   (app/drill_preset.h); for each repository with a retention an expiry every day; for each with
//   copy.schedule a copy by that; and, with canary.interval, the canary, which runs on and has no
//   timer. Times are of `timezone`.
// What needs PostgreSQL (backup, copy, drills, canary) comes after its service when the machine
//   starts; what watches does not wait for it.
// Each service ends within a time limit, may run once at a time (systemd sees to that; what must
//   not meet itself from elsewhere locks itself: docs/locking.md), and starts
//   holdfast-<cluster>-failed@.service when it failed, which calls `holdfast notify`.
// Nothing is enabled or started. Files of that name that somebody else wrote, or that are of
//   another cluster (their first line says which), are not replaced.
// Errors: kRefused for such a file; then nothing was written.

#include <filesystem>
#include <string>
#include <vector>

#include "app/config.h"

namespace holdfast {

struct SystemdUnit {
  std::string name;  // "holdfast-main-backup.timer"
  std::string content;
};

struct UnitPlace {
  std::string program;  // absolute paths
  std::string configuration;
  std::string user;
};
// Of this process: its program, the configuration's file, the owner of the data directory.
UnitPlace this_place(const Config& config);

std::vector<SystemdUnit> make_units(const Config& config, const UnitPlace& place);

struct UnitsInstalled {
  std::vector<std::string> written;   // names; those that were there with the same content too
  std::vector<std::string> unwanted;  // ours and of this cluster, but made no more
};
UnitsInstalled install_units(const Config& config, const std::vector<SystemdUnit>& units,
                             const std::filesystem::path& folder);

}  // namespace holdfast
