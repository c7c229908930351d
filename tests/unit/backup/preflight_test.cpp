#include "backup/preflight.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

CatalogueEntry entry(const std::string& id) {
  return {.name = {"demo", {1, 42}, {id}}};
}

// Ids of one second sorted by their random tail: `latest` could mean the older of two backups.
TEST(NextBackupId, SortsBehindEveryBackupThatIsThere) {
  const Timestamp now = *parse_rfc3339("2026-11-22T02:00:00.5Z");
  EXPECT_EQ(next_backup_id(now, {}).text.substr(0, 16), "20261122T020000Z");
  EXPECT_EQ(next_backup_id(now, {entry("20261122T015959Z-ffff")}).text.substr(0, 16),
            "20261122T020000Z");
  EXPECT_EQ(next_backup_id(now, {entry("20261122T020000Z-ffff")}).text.substr(0, 16),
            "20261122T020001Z");
  // The clock was set back.
  EXPECT_EQ(next_backup_id(now, {entry("20261122T015959Z-ffff"), entry("20270101T000000Z-0000")})
                .text.substr(0, 16),
            "20270101T000001Z");
}

}  // namespace
}  // namespace holdfast
