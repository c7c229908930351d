// Records of recoveries: they come back as they were written, and say when they make no sense.
#include "app/recovery_record.h"

#include <gtest/gtest.h>

#include "app/objectives.h"
#include "app/promotion.h"
#include "app/recovery_report.h"
#include "core/error.h"
#include "support/temp_folder.h"

namespace holdfast {
namespace {

RecoveryRecord full_record() {
  RecoveryRecord record{.name = "look",
                        .cluster = "demo",
                        .began = "2026-11-22T14:00:00Z",
                        .repository = "hot",
                        .as_of = "2026-11-22T13:00:00.123Z",
                        .backup = "20261122T020000Z-1a2b",
                        .history = "0001-7340123456789012345",
                        .folder = "/srv/look",
                        .server_folder = "/tmp/holdfast-abc",
                        .major_version = 15,
                        .from = {0x1000028},
                        .to = {0x2000000},
                        .restore_command = "'holdfast' archive-get %f \"%p\""};
  record.target.kind = RecoveryTarget::Kind::kTime;
  record.target.time = parse_rfc3339("2026-11-22T13:59:59.123456Z").value();
  record.target.stop = RecoveryTarget::Stop::kExclusive;
  record.target.timeline = {RecoveryTimeline::Kind::kNumber, {2}};
  record.steps = {{.name = "restore",
                   .began = "2026-11-22T14:00:01Z",
                   .ended = "2026-11-22T14:00:02Z",
                   .result = RecoveryStep::Result::kDone,
                   .detail = "it's done\n",
                   .by = "ada",
                   .host = "db1"},
                  {.name = "replay", .began = "2026-11-22T14:00:03Z", .by = "ada", .host = "db1"}};
  record.verdict =
      RecoveryVerdict{.time = "2026-11-22T14:01:00Z",
                      .at = "0/2000000",
                      .by = "ada",
                      .passed = false,
                      .checks = {{.name = "rows",
                                  .about = CheckResult::About::kContent,
                                  .verdict = CheckResult::Verdict::kFailed,
                                  .detail = "3, expected 4",
                                  .duration_seconds = 0.5},
                                 {.name = "tables", .verdict = CheckResult::Verdict::kSkipped}}};
  record.approvals = {{.by = "grace", .time = "2026-11-22T14:02:00Z", .host = "ada@db1"}};
  record.promotion = RecoveryPromotion{.lost = "a <b>disk</b> | died",
                                       .backup = "20261122T030000Z-0001",
                                       .place = "/var/lib/data",
                                       .aside = "/var/lib/data.replaced-20261122T140300Z",
                                       .start_options = {"-p", "5432"},
                                       .differing = {"pg_hba.conf"},
                                       .copy_device = 7,
                                       .copy_inode = 42,
                                       .system_identifier = 7340123456789012345,
                                       .unarchived = true,
                                       .fresh_backup = "20261122T150000Z-0002",
                                       .standbys = {{.data_directory = "/var/lib/data.standby-1",
                                                     .tablespaces = "/srv/spaces",
                                                     .port = 5433,
                                                     .aside = "/var/lib/data.standby-1.set-aside",
                                                     .dropped = true}}};
  return record;
}

TEST(RecoveryRecord, ComesBackAsItWasWritten) {
  const RecoveryRecord record = full_record();
  const RecoveryRecord read = parse_recovery_record(to_json(record), "here");
  EXPECT_EQ(to_json(read), to_json(record));
  EXPECT_EQ(read.target.time, record.target.time);
  EXPECT_EQ(read.target.kind, record.target.kind);
  EXPECT_EQ(read.target.stop, record.target.stop);
  EXPECT_EQ(read.target.timeline, record.target.timeline);
  EXPECT_EQ(read.target.action, RecoveryTarget::Action::kPause);
  EXPECT_TRUE(read.has_done("restore"));
  EXPECT_FALSE(read.has_done("replay"));
  EXPECT_EQ(read.verdict->checks.at(1).verdict, CheckResult::Verdict::kSkipped);
}

TEST(RecoveryRecord, ThatMakesNoSenseIsDamage) {
  std::string other = to_json(full_record());
  other.replace(other.find("\"time\""), 6, "\"tame\"");
  for (const std::string& text :
       {std::string("{"), std::string("[]"), other, std::string("{\"version\": 2}")}) {
    try {
      parse_recovery_record(text, "here");
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kDamage);
      EXPECT_EQ(error.object(), "here");
    }
  }
}

class RecoveryStoreTest : public testing::Test {
 protected:
  Config config() {
    Config config;
    config.cluster = "demo";
    config.state_directory = folder_ / "state";
    return config;
  }
  RecoveryStore store() { return RecoveryStore(config()); }
  ErrorKind refused(const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::kBug;
  }
  test::TempFolder folder_;
};

TEST_F(RecoveryStoreTest, KnowsTheOnlyOneWithoutItsName) {
  const RecoveryStore store = this->store();
  EXPECT_EQ(refused([&] { store.resolve(""); }), ErrorKind::kNotFound);
  RecoveryRecord record = full_record();
  store.write(record);
  EXPECT_EQ(store.resolve(""), "look");
  EXPECT_EQ(store.read("look").backup, record.backup);
  record.name = "other";
  store.write(record);
  EXPECT_EQ(store.names(), (std::vector<std::string>{"look", "other"}));
  EXPECT_EQ(refused([&] { store.resolve(""); }), ErrorKind::kUsage);
  EXPECT_TRUE(std::filesystem::exists(store.retire(record)));
  EXPECT_EQ(store.names(), std::vector<std::string>{"look"});
  EXPECT_EQ(refused([&] { store.read("other"); }), ErrorKind::kNotFound);
  EXPECT_EQ(refused([&] { store.find("../look"); }), ErrorKind::kUsage);
}

// That nothing failed is no verdict where nobody could look.
TEST_F(RecoveryStoreTest, ApprovesNoCopyThatNobodyLookedInto) {
  const RecoveryStore store = this->store();
  RecoveryRecord record = full_record();
  record.promotion.reset();
  record.approvals.clear();
  record.verdict->checks = {{.name = "files", .detail = "300 relations"},
                            {.name = "checksums",
                             .verdict = CheckResult::Verdict::kSkipped,
                             .detail = "the cluster has no page checksums"}};
  record.verdict->passed = true;  // as a version said that did not ask who had looked
  store.write(record);
  EXPECT_FALSE(store.read("look").verdict->passed);
  try {
    approve_recovery(config(), {.name = "look", .by = "Ada"});
    ADD_FAILURE() << "was approved";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kRefused);
    EXPECT_NE(error.message().find("checksums (the cluster has no page checksums)"),
              std::string::npos)
        << error.message();
    EXPECT_NE(error.hint().find("holdfast recover check look"), std::string::npos) << error.hint();
    EXPECT_EQ(error.hint().find("Install amcheck"), std::string::npos) << "the copy is only read";
  }
  record.verdict->checks.push_back({.name = "rows", .about = CheckResult::About::kContent});
  record.verdict->passed = true;
  store.write(record);
  EXPECT_EQ(approve_recovery(config(), {.name = "look", .by = "Ada"}).approvals.size(), 1U);
}

TEST_F(RecoveryStoreTest, LetsOneWorkAtATime) {
  const RecoveryStore store = this->store();
  EXPECT_FALSE(store.is_worked_on("look"));
  {
    const FileLock lock = store.lock("look");
    EXPECT_TRUE(store.is_worked_on("look"));
    EXPECT_FALSE(store.is_worked_on("other"));
    EXPECT_EQ(refused([&] { store.lock("look"); }), ErrorKind::kRefused);
  }
  EXPECT_FALSE(store.is_worked_on("look"));
}

TEST(RecoveryReport, TellsWhoDidWhatAndLetsNoTextBecomeMarkup) {
  const std::string markdown = report_markdown(recovery_report(full_record()));
  for (const char* part :
       {"# Recovery look", "- Cluster: demo", "- Repository: hot, as of 2026-11-22T13:00:00.123Z\n",
        "| grace |", "| restore | done | 2026-11-22T14:00:01Z |", "1.0 s",
        "| rows | failed | 3, expected 4 |", "Replaced directory: /var/lib/data.replaced-",
        "Differs from the replaced one: pg_hba.conf", "a &lt;b>disk&lt;/b> \\| died"}) {
    EXPECT_NE(markdown.find(part), std::string::npos) << part << "\n" << markdown;
  }
  const std::string html = report_html(recovery_report(full_record()));
  EXPECT_NE(html.find("<td>grace</td>"), std::string::npos) << html;
  EXPECT_EQ(html.find("<b>"), std::string::npos) << html;
  EXPECT_NE(html.find("a &lt;b&gt;disk&lt;/b&gt; | died"), std::string::npos) << html;
}

TEST(RecoveryReport, SaysWhatWasReachedAgainstTheObjectivesOfItsBegin) {
  RecoveryRecord record = full_record();
  record.steps[1].ended = "2026-11-22T14:10:00Z";
  record.steps[1].result = RecoveryStep::Result::kDone;
  record.objectives = {.recovery_point = std::chrono::minutes(1),
                       .recovery_time = std::chrono::minutes(20)};
  record.last_transaction = "2026-11-22T13:57:59.123456Z";
  record = parse_recovery_record(to_json(record), "here");
  const std::string markdown = report_markdown(recovery_report(record));
  for (const char* part : {"| recovery time | 20 min 0 s | 10 min 0 s | met |",
                           "| recovery time, in production | 20 min 0 s |  | not measured |",
                           "| recovery point | 1 min 0 s | 0.0 s | met |"}) {
    EXPECT_NE(markdown.find(part), std::string::npos) << part << "\n" << markdown;
  }
  record.target.kind = RecoveryTarget::Kind::kLatest;  // to the end, when it began
  EXPECT_EQ(measured_objectives(record).back().measured, std::chrono::microseconds(120'876'544));
  record.objectives = {};
  EXPECT_EQ(measured_objectives(record).back().result(), "no objective");
}

// Who gets the notice in the night must know which server runs.
TEST(RecoveryRecord, TellsAPromotionFromItsRollback) {
  RecoveryRecord record = full_record();
  record.promotion->place = "/var/lib/data";
  record.promotion->aside = "/var/lib/data.replaced-x";
  const std::string promoted = told_of_promotion(record);
  EXPECT_NE(promoted.find("the copy of backup"), std::string::npos) << promoted;
  EXPECT_NE(promoted.find("is in /var/lib/data, what it replaced in /var/lib/data.replaced-x"),
            std::string::npos)
      << promoted;
  record.steps.push_back(
      {.name = std::string(kLastRollbackStep), .result = RecoveryStep::Result::kDone});
  const std::string back = told_of_promotion(record);
  EXPECT_NE(back.find("taken back: the replaced server is in /var/lib/data again"),
            std::string::npos)
      << back;
  EXPECT_EQ(back.find("the copy of backup"), std::string::npos) << back;
  record.steps.pop_back();
  record.promotion->aside.clear();
  EXPECT_NE(told_of_promotion(record).find("what it replaced is lost"), std::string::npos);
}

TEST(RecoveryReport, TellsNoSecretOfAnError) {
  RecoveryRecord record = full_record();
  record.steps[0].detail = "cannot connect to postgres://u:geheim@h/db: refused";
  for (const std::string& text :
       {report_markdown(recovery_report(record)), report_html(recovery_report(record))}) {
    EXPECT_EQ(text.find("geheim"), std::string::npos) << text;
    EXPECT_NE(text.find("postgres://u:***@h/db: refused"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace holdfast
