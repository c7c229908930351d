#pragma once
// The PostgreSQL settings that backups and archiving need, as the server has them now, and how to
// set them.
//
// wal_level decides whether WAL can be recovered from at all; a free replication slot keeps the WAL
// of a running backup from being recycled. Nothing else is needed for a backup: the slot is made by
// a function, without a WAL sender, and PostgreSQL writes full page images while a backup runs,
// whatever full_page_writes says. archive_mode, archive_command and archive_timeout bring WAL to
// the archive; an archive_command (or archive_library) that somebody else needs is never replaced.
// Sources: PostgreSQL's documentation of pg_settings, "Replication Slots",
// "Making a Base Backup Using the Low Level API".
//
// Errors: kPostgres. Threads: one at a time, as the session.

#include <string>
#include <vector>

#include "app/config.h"
#include "postgres/session.h"

namespace holdfast {

struct PostgresSetting {
  std::string name;
  std::string current;
  std::string wanted;  // for people: "replica or logical", "3 or more (2 slots are in use)"
  std::string set_to;  // what apply_settings() sets; empty: it leaves this to the operator
  std::string without = "no backup is possible yet";  // what it costs that it does not fit
  bool fits = false;
  bool needs_restart = false;    // to take effect
  bool restart_pending = false;  // set in the configuration already, waits for the restart
  // Given on the server's command line, which wins over what ALTER SYSTEM sets.
  bool on_command_line = false;
};

std::vector<PostgresSetting> backup_settings(Session& session);
std::vector<PostgresSetting> archive_settings(Session& session, const Config& config);

// ALTER SYSTEM for those that do not fit, and a reload. Returns the names of those that were set;
// what stands on the command line is left out.
std::vector<std::string> apply_settings(Session& session,
                                        const std::vector<PostgresSetting>& settings);

}  // namespace holdfast
