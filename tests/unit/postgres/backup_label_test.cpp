#include "postgres/backup_label.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace holdfast {
namespace {

constexpr std::string_view kLabel =
    "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n"
    "CHECKPOINT LOCATION: 0/2000060\n"
    "BACKUP METHOD: streamed\n"
    "BACKUP FROM: standby\n"
    "START TIME: 2026-11-22 09:55:19 UTC\n"
    "LABEL: nightly: one\n"
    "START TIMELINE: 7\n";

TEST(BackupLabel, IsRead) {
  const BackupLabel label = parse_backup_label(kLabel);
  EXPECT_EQ(label.start, Lsn{0x2000028});
  EXPECT_EQ(label.checkpoint, Lsn{0x2000060});
  EXPECT_EQ(label.start_timeline, TimelineId{7});
  EXPECT_TRUE(label.from_standby);
  EXPECT_EQ(label.label, "nightly: one");
}

TEST(BackupLabel, WithoutALineThatRecoveryNeedsIsDamage) {
  for (const std::string_view key :
       {"START WAL LOCATION", "CHECKPOINT LOCATION", "START TIMELINE"}) {
    std::string text(kLabel);
    text.replace(text.find(key), 1, "X");
    EXPECT_THROW(parse_backup_label(text), Error) << key;
  }
  EXPECT_THROW(parse_backup_label(""), Error);
}

TEST(BackupLabel, WithNonsenseInALineIsDamage) {
  for (const auto& [good, bad] : {std::pair{"0/2000028", "0/200002G"},
                                  {"0/2000060", "0/0"},
                                  {"TIMELINE: 7", "TIMELINE: 0"},
                                  {"TIMELINE: 7", "TIMELINE: 7x"},
                                  {"TIMELINE: 7", "TIMELINE: 4294967296"}}) {
    std::string text(kLabel);
    text.replace(text.find(good), std::string_view(good).size(), bad);
    EXPECT_THROW(parse_backup_label(text), Error) << bad;
  }
}

}  // namespace
}  // namespace holdfast
