// What the checks of a copy say together, and the report of a drill.
#include "app/copy_checks.h"

#include <gmock/gmock.h>

#include "app/drill_report.h"
#include "app/evidence_parts.h"
#include "support/temp_folder.h"
#include "system/files.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::Not;
using Verdict = CheckResult::Verdict;
using About = CheckResult::About;

// As on a machine without amcheck, of a cluster without page checksums.
std::vector<CheckResult> nobody_looked() {
  return {{.name = "recovery"},
          {.name = "files"},
          {.name = "indexes", .verdict = Verdict::kSkipped, .detail = "amcheck cannot be used"},
          {.name = "tables", .verdict = Verdict::kSkipped, .detail = "amcheck cannot be used"},
          {.name = "rights to ask", .about = About::kContent},
          {.name = "checksums", .verdict = Verdict::kSkipped, .detail = "there are none"},
          {.name = "recovery time", .about = About::kObjective}};
}

TEST(CopyVerdict, NeedsSomebodyWhoLookedInside) {
  EXPECT_EQ(verdict_of({}), CopyVerdict::kNotChecked);
  EXPECT_EQ(verdict_of(nobody_looked()), CopyVerdict::kNotChecked);
  EXPECT_EQ(not_looked_at(nobody_looked()),
            "indexes (amcheck cannot be used), tables (amcheck cannot be used), checksums (there "
            "are none)");
  for (const CheckResult& looked : {CheckResult{.name = "checksums"},
                                    {.name = "tables"},
                                    {.name = "indexes"},
                                    {.name = "orders", .about = About::kContent}}) {
    std::vector<CheckResult> checks = nobody_looked();
    checks.push_back(looked);
    EXPECT_EQ(verdict_of(checks), CopyVerdict::kPassed) << looked.name;
    checks.back().verdict = Verdict::kFailed;
    EXPECT_EQ(verdict_of(checks), CopyVerdict::kFailed) << looked.name;
    checks.back().verdict = Verdict::kSkipped;
    EXPECT_EQ(verdict_of(checks), CopyVerdict::kNotChecked) << looked.name;
  }
}

// That it took too long does not make anybody have looked.
TEST(CopyVerdict, OfAMissedObjectiveNeedsSomebodyWhoLookedToo) {
  std::vector<CheckResult> checks = nobody_looked();
  checks.back().verdict = Verdict::kFailed;
  EXPECT_EQ(verdict_of(checks), CopyVerdict::kNotChecked);
  EXPECT_FALSE(tell_of_backup(checks));
  checks.push_back({.name = "tables"});
  EXPECT_EQ(verdict_of(checks), CopyVerdict::kFailed);
  EXPECT_TRUE(tell_of_backup(checks));
}

TEST(CopyVerdict, OfAWrongAnswerAloneProvesNothing) {
  std::vector<CheckResult> checks = nobody_looked();
  checks.push_back({.name = "rows", .about = About::kContent, .verdict = Verdict::kFailed});
  EXPECT_EQ(verdict_of(checks), CopyVerdict::kFailed);
  EXPECT_FALSE(tell_of_backup(checks));
  checks.front().verdict = Verdict::kFailed;  // of the backup: known without a look
  EXPECT_TRUE(tell_of_backup(checks));
}

class DrillReportTest : public testing::Test {
 protected:
  DrillReportTest() {
    config_.cluster = "demo";
    config_.state_directory = folder_ / "state";
    config_.objectives.recovery_time = std::chrono::minutes(1);
    make_folders(config_.state_directory, 0700);
    report_.by = "ada";
    report_.host = "db1";
    report_.target = "the end of the archive";
    report_.began = parse_rfc3339("2026-11-22T14:00:00Z").value();
    report_.restore_seconds = 50;
    report_.replay_seconds = 40;
    report_.recovered_lsn = "0/3000000";
    report_.checks = nobody_looked();
    report_.checks.push_back({.name = "<b>rows</b>", .about = About::kContent, .detail = "4"});
  }
  test::TempFolder folder_;
  Config config_;
  DrillReport report_;
};

TEST_F(DrillReportTest, IsReadableAndSaysWhoAndAgainstWhichObjectives) {
  save_drill_report(config_, report_);
  ASSERT_EQ(report_.readable.size(), 2U);
  const std::string markdown = read_file(report_.readable.at(0), 1 << 20).value();
  for (const char* part :
       {"# Drill\n", "- Result: passed", "- By: ada", "- Host: db1", "| restore | 50.0 s |",
        "| recovery time | 1 min 0 s | 1 min 30 s | missed |",
        "| recovery point |  |  | no objective |", "| checksums | skipped |"}) {
    EXPECT_THAT(markdown, HasSubstr(part));
  }
  const std::string html = read_file(report_.readable.at(1), 1 << 20).value();
  EXPECT_THAT(html, HasSubstr("<td>&lt;b&gt;rows&lt;/b&gt;</td>"));
  EXPECT_THAT(html, Not(HasSubstr("<b>")));
  EXPECT_EQ(reported_drills(config_).size(), 1U);
}

TEST_F(DrillReportTest, OfARepositoryAsItWasSaysSoAndIsNoEvidence) {
  report_.repository = "hot";
  save_drill_report(config_, report_);
  EXPECT_EQ(reported_drills(config_).size(), 1U);
  report_.as_of = parse_rfc3339("2026-11-20T13:00:00Z").value();
  save_drill_report(config_, report_);
  EXPECT_THAT(read_file(report_.readable.at(0), 1 << 20).value(),
              HasSubstr("- Repository: hot, as of 2026-11-20T13:00:00Z\n"));
  EXPECT_TRUE(reported_drills(config_).empty());
}

TEST_F(DrillReportTest, OfOneInWhichNobodyLookedIsNoEvidence) {
  report_.checks = nobody_looked();
  save_drill_report(config_, report_);
  EXPECT_THAT(read_file(report_.report, 1 << 20).value(),
              HasSubstr("\"verdict\": \"not checked\""));
  EXPECT_TRUE(reported_drills(config_).empty());
}

TEST_F(DrillReportTest, OfOneInWhichNobodyLookedIsNoEvidenceEitherWhereAnObjectiveWasMissed) {
  report_.checks = nobody_looked();
  report_.checks.back().verdict = Verdict::kFailed;
  save_drill_report(config_, report_);
  EXPECT_TRUE(reported_drills(config_).empty());
  report_.checks.push_back({.name = "tables"});
  save_drill_report(config_, report_);
  const auto drills = reported_drills(config_);
  ASSERT_EQ(drills.size(), 1U);
  EXPECT_TRUE(drills.front().proven);
  EXPECT_FALSE(drills.front().passed);
  EXPECT_EQ(drills.front().failed, "recovery time");
}

}  // namespace
}  // namespace holdfast
