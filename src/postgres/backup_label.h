#pragma once
// The backup label that PostgreSQL hands out when a backup ends. Source: PostgreSQL's
// documentation, "Making a Base Backup Using the Low Level API", and access/xlogbackup.c.

#include <string>
#include <string_view>

#include "core/wal_position.h"

namespace holdfast {

struct BackupLabel {
  Lsn start;  // WAL is needed from here on
  Lsn checkpoint;
  TimelineId start_timeline;
  bool from_standby = false;
  std::string label;
};

// Throws Error(kDamage) when a line that recovery needs is missing or makes no sense.
BackupLabel parse_backup_label(std::string_view text);

}  // namespace holdfast
