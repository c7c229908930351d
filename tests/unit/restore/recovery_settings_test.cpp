#include "restore/recovery_settings.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"
#include "support/temp_folder.h"

namespace holdfast {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using Mode = RecoverySettings::Mode;
using Archiving = RecoverySettings::Archiving;

RecoverySettings recovery(const TargetRequest& request = {}) {
  return {.major_version = 17,
          .restore_command = "/usr/bin/holdfast archive-get %f \"%p\"",
          .target = parse_recovery_target(request)};
}

std::vector<std::string> settings_in(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (!line.empty() && line[0] != '#') lines.push_back(line);
  }
  return lines;
}

class RecoverySettingsTest : public testing::Test {
 protected:
  std::vector<std::string> write(const RecoverySettings& settings) {
    return write_recovery_settings(folder_.path(), settings, {ownership_, 0});
  }
  std::string auto_conf() const { return test::read_text(folder_ / "postgresql.auto.conf"); }
  bool has(std::string_view name) const { return std::filesystem::exists(folder_ / name); }

  test::TempFolder folder_;
  Ownership ownership_{{{.uid = ::geteuid(), .gid = ::getegid()}}};
};

TEST(SettingsFile, ValuesAreQuotedAsPostgresReadsThem) {
  EXPECT_EQ(quoted_setting(""), "''");
  EXPECT_EQ(quoted_setting("it's"), "'it''s'");
  EXPECT_EQ(quoted_setting("C:\\new\\'x'"), "'C:\\\\new\\\\''x'''");
  EXPECT_EQ(quoted_setting("two\nlines\r"), "'two\\nlines\\r'");
  EXPECT_THROW(quoted_setting(std::string_view("a\0b", 3)), Error);
}

TEST(SettingsFile, HoldsTheWholeRecovery) {
  const std::string text = recovery_settings_text("", recovery({.time = "2026-11-22 14:00:00.5+01",
                                                                .exclusive = true,
                                                                .timeline = "3",
                                                                .action = "promote"}));
  EXPECT_THAT(settings_in(text),
              ElementsAre("restore_command = '/usr/bin/holdfast archive-get %f \"%p\"'",
                          "recovery_target = ''", "recovery_target_name = ''",
                          "recovery_target_xid = ''", "recovery_target_lsn = ''",
                          "recovery_target_time = '2026-11-22 13:00:00.500000+00'",
                          "recovery_target_inclusive = 'false'", "recovery_target_timeline = '3'",
                          "recovery_target_action = 'promote'", "recovery_end_command = ''",
                          "archive_cleanup_command = ''", "recovery_min_apply_delay = '0'",
                          "primary_conninfo = ''", "primary_slot_name = ''"));
}

TEST(SettingsFile, HasEachKindOfTargetAndTheOthersEmptyBeforeIt) {
  const std::vector<std::pair<TargetRequest, std::string>> cases{
      {{.immediate = true}, "recovery_target = 'immediate'"},
      {{.name = "it's"}, "recovery_target_name = 'it''s'"},
      {{.time = "2026-11-22 14:00Z"}, "recovery_target_time = '2026-11-22 14:00:00.000000+00'"},
      {{.xid = "4294968069"}, "recovery_target_xid = '773'"},
      {{.lsn = "16/B374D848"}, "recovery_target_lsn = '16/B374D848'"},
  };
  for (const auto& [request, line] : cases) {
    const auto lines = settings_in(recovery_settings_text("", recovery(request)));
    const auto ours = std::ranges::find(lines, line);
    ASSERT_NE(ours, lines.end()) << line;
    EXPECT_EQ(std::count_if(lines.begin(), ours,
                            [](const auto& other) {
                              return other.starts_with("recovery_target") && other.ends_with("''");
                            }),
              4)
        << line;
    EXPECT_THAT(lines, ::testing::Contains("hot_standby = 'on'")) << "pausing needs it";
  }
}

TEST(SettingsFile, WithoutATargetHasNone) {
  const std::string text = recovery_settings_text("", recovery());
  for (const char* const name : {"", "_name", "_time", "_xid", "_lsn"}) {
    EXPECT_THAT(text, HasSubstr(std::string("recovery_target") + name + " = ''\n"));
  }
  EXPECT_THAT(text, HasSubstr("recovery_target_timeline = 'latest'\n"));
  EXPECT_THAT(text, Not(HasSubstr("hot_standby")));
}

TEST(SettingsFile, KnowsWhatEachVersionKnows) {
  RecoverySettings settings = recovery();
  EXPECT_THAT(recovery_settings_text("", settings), Not(HasSubstr("promote_trigger_file")));
  settings.major_version = 15;
  EXPECT_THAT(recovery_settings_text("", settings), HasSubstr("promote_trigger_file = ''\n"));
}

TEST(SettingsFile, SwitchesArchivingOffOnlyWhenTold) {
  RecoverySettings settings = recovery();
  EXPECT_THAT(recovery_settings_text("", settings), Not(HasSubstr("archive_mode")));
  settings.archiving = Archiving::kOff;
  EXPECT_THAT(recovery_settings_text("", settings), HasSubstr("archive_mode = 'off'\n"));
  EXPECT_THAT(recovery_settings_text("", settings), HasSubstr("archives nothing"));
}

// The settings of every other recovery go, in any spelling that PostgreSQL takes; all else stays.
TEST(SettingsFile, LosesRecoverySettingsAndNothingElse) {
  const std::string others =
      "# Do not edit this file manually!\r\n"
      "\n"
      "  work_mem='4MB'   # recovery_target = 'x'\n"
      "# restore_command = 'cp'\n"
      "recovery_prefetch = 'off'\n"
      "my.recovery_target = 'a'\n"
      "archive_command = 'restore_command'\n"
      "restore_command_x = '1'\n";
  const std::string stale =
      "restore_command = 'cp /old/%f %p'\n"
      "recovery_target_xid='5'\n"
      "\tRecovery_Target_Name \t 'x'\n"
      "RECOVERY_TARGET_TIME='2020-01-01'# old\r\n"
      "recovery_target = immediate\n"
      "recovery_target_lsn '0/1'\n"
      "recovery_target_timeline=5\n"
      "recovery_target_action = shutdown\n"
      "recovery_target_inclusive = off\n"
      "recovery_end_command = 'rm -rf /'\n"
      "archive_cleanup_command = 'pg_archivecleanup /old %r'\n"
      "recovery_min_apply_delay = '1h'\n"
      "primary_conninfo = 'host=old'\n"
      "primary_slot_name = 's'\n"
      "promote_trigger_file = '/tmp/t'";
  const std::string alone = recovery_settings_text("", recovery());
  EXPECT_EQ(recovery_settings_text(others + stale, recovery()), others + alone);
  EXPECT_EQ(recovery_settings_text(stale + "\n" + others, recovery()), others + alone);
  EXPECT_EQ(recovery_settings_text("a = 1", recovery()), "a = 1\n" + alone);
}

TEST(SettingsFile, WrittenAgainIsTheSame) {
  RecoverySettings settings = recovery({.name = "a"});
  settings.archiving = Archiving::kOff;
  const std::string once = recovery_settings_text("work_mem = '4MB'\n", settings);
  EXPECT_EQ(recovery_settings_text(once, settings), once);
  EXPECT_EQ(recovery_settings_text(once + "max_connections = 50\n", settings),
            recovery_settings_text("work_mem = '4MB'\nmax_connections = 50\n", settings));
}

// The source was itself a restored copy that archived nothing; this restore was told otherwise.
TEST(SettingsFile, LosesTheBlockOfAnEarlierRestore) {
  RecoverySettings earlier = recovery({.immediate = true});
  earlier.archiving = Archiving::kOff;
  const std::string text = recovery_settings_text("work_mem = '4MB'\n", earlier);
  EXPECT_EQ(recovery_settings_text(text, recovery()),
            "work_mem = '4MB'\n" + recovery_settings_text("", recovery()));
}

TEST(SettingsFile, ABlockWithoutEndTakesNothingWithIt) {
  const std::string text = recovery_settings_text("", recovery());
  const std::string begin = text.substr(0, text.find('\n') + 1);
  EXPECT_THAT(recovery_settings_text(begin + "work_mem = '4MB'\n", recovery()),
              HasSubstr("work_mem = '4MB'\n"));
}

TEST_F(RecoverySettingsTest, RecoveryHasItsSignalFileAndPrivateFiles) {
  test::write_text(folder_ / "standby.signal", "");
  test::write_text(folder_ / "postgresql.auto.conf", "work_mem = '4MB'\n");
  EXPECT_THAT(write(recovery()), IsEmpty());
  EXPECT_TRUE(has("recovery.signal"));
  EXPECT_FALSE(has("standby.signal"));
  EXPECT_THAT(auto_conf(), StartsWith("work_mem = '4MB'\n"));
  for (const char* const name : {"recovery.signal", "postgresql.auto.conf"}) {
    struct stat info{};
    ASSERT_EQ(::stat((folder_ / name).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777U, 0600U) << name;
    EXPECT_EQ(info.st_uid, ::geteuid());
  }
  const std::string once = auto_conf();
  write(recovery());
  EXPECT_EQ(auto_conf(), once);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), {}), 2);
}

TEST_F(RecoverySettingsTest, AStandbyFollowsItsPrimary) {
  test::write_text(folder_ / "recovery.signal", "");
  test::write_text(folder_ / "postgresql.auto.conf", "primary_conninfo = 'host=old'\n");
  RecoverySettings settings = recovery();
  settings.mode = Mode::kStandby;
  settings.primary_conninfo = "host=pg1 password='it''s'";
  EXPECT_THAT(write(settings), IsEmpty());
  EXPECT_TRUE(has("standby.signal"));
  EXPECT_FALSE(has("recovery.signal"));
  EXPECT_THAT(auto_conf(), HasSubstr("primary_conninfo = 'host=pg1 password=''it''''s'''\n"));
  EXPECT_THAT(auto_conf(), HasSubstr("recovery_target_timeline = 'latest'\n"));
  EXPECT_THAT(auto_conf(), Not(HasSubstr("host=old")));
}

TEST_F(RecoverySettingsTest, AStandbyWithoutPrimaryIsWarnedAbout) {
  RecoverySettings settings = recovery();
  settings.mode = Mode::kStandby;
  EXPECT_THAT(write(settings), ElementsAre(HasSubstr("no connection to a primary")));
  EXPECT_THAT(auto_conf(), HasSubstr("primary_conninfo = ''\n"));
}

TEST_F(RecoverySettingsTest, AStandbyHasNoTarget) {
  RecoverySettings settings = recovery({.immediate = true});
  settings.mode = Mode::kStandby;
  EXPECT_THROW(write(settings), Error);
  EXPECT_FALSE(has("standby.signal"));
}

// It waits there instead of ending, so it can stand at the end of an archive.
TEST_F(RecoverySettingsTest, AStandbyMayStopBeforeAnLsn) {
  RecoverySettings settings = recovery({.lsn = "0/2000000", .exclusive = true});
  settings.mode = Mode::kStandby;
  write(settings);
  EXPECT_TRUE(has("standby.signal"));
  EXPECT_THAT(auto_conf(), HasSubstr("recovery_target_lsn = '0/2000000'\n"));
  EXPECT_THAT(auto_conf(), HasSubstr("recovery_target_inclusive = 'false'\n"));
  EXPECT_THAT(auto_conf(), HasSubstr("recovery_target_action = 'pause'\n"));
}

TEST_F(RecoverySettingsTest, StaleSettingsElsewhereAreWarnedAbout) {
  test::write_text(folder_ / "postgresql.conf",
                   "#recovery_target_xid = '1'\nrecovery_target_name = 'x'\nport = 5433\n"
                   "Recovery_Target_Time = '2020-01-01'\nrecovery_end_command = 'true'\n"
                   "recovery_target_name = 'y'\n");
  test::write_text(folder_ / "postgresql.auto.conf", "include_dir 'more'\n");
  EXPECT_THAT(write(recovery()),
              ElementsAre(HasSubstr("sets recovery_target_name, recovery_target_time, "
                                    "recovery_end_command; that is overridden"),
                          HasSubstr("writes Recovery_Target_Time with capital letters"),
                          HasSubstr("postgresql.auto.conf includes other files")));
}

TEST_F(RecoverySettingsTest, ARecoveryConfIsPutAside) {
  test::write_text(folder_ / "recovery.conf", "standby_mode = on\n");
  EXPECT_THAT(write(recovery()), ElementsAre(HasSubstr("recovery.conf was renamed")));
  EXPECT_FALSE(has("recovery.conf"));
  EXPECT_EQ(test::read_text(folder_ / "recovery.conf.before-restore"), "standby_mode = on\n");
  EXPECT_THAT(write(recovery()), IsEmpty());
}

}  // namespace
}  // namespace holdfast
