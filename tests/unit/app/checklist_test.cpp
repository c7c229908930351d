// The readiness list: what each line is answered with, from evidence.
#include "app/checklist.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/temp_folder.h"
#include "unit/app/evidence_maker.h"

namespace holdfast {
namespace {

using namespace holdfast::test;
using namespace std::chrono_literals;
using Answer = ChecklistLine::Answer;
using std::chrono::days;
using testing::HasSubstr;

class Checklist : public testing::Test {
 protected:
  Checklist() {
    config_.objectives.recovery_time = 1h;
    config_.objectives.recovery_point = 1h;
    all_.evidence = good_evidence();
    RepositoryEvidence& first = first_of(all_.evidence);
    first.backups.clear();
    for (const int age : {58, 34, 10}) {  // hours: three days in a row at 02:00
      first.backups.push_back(backup_that_ended(kNow - std::chrono::hours(age)));
    }
    first.deliberate = first.backups.back();
    first.deliberate->proof =
        ProofRecord{.time = "2026-03-10T03:00:00Z", .mode = "full", .ok = true};
    all_.evidence.machine.drills = {drill(days(35), "the end of the archive"),
                                    drill(days(30), "2026-02-08T10:00:00Z"),
                                    drill(days(5), "the end of the archive")};
    drills().front().preset = "quarterly";
    all_.evidence.machine.knows_rare_drills = true;
    for (const char* const line : {"restore_documented", "team", "runbook"}) {
      all_.attestations.push_back({line, "A. Sample", "", to_rfc3339(kNow - days(100)), "db1"});
    }
  }
  static DrillEvidence drill(std::chrono::microseconds age, const std::string& target) {
    return {.time = kNow - age,
            .passed = true,
            .proven = true,
            .backup = "x",
            .target = target,
            .recovery_seconds = 600.0,
            .recovery_point_seconds = 60.0};
  }
  ChecklistLine line(const std::string& code) {
    all_.findings = diagnose(config_, all_.evidence);
    for (ChecklistLine& each : answer_checklist(config_, all_)) {
      if (each.code == code) return each;
    }
    throw std::runtime_error("no line " + code);
  }
  Answer answer(const std::string& code) { return line(code).answer; }
  RepositoryEvidence& first() { return first_of(all_.evidence); }
  std::vector<DrillEvidence>& drills() { return all_.evidence.machine.drills; }

  Config config_;
  ChecklistEvidence all_;
};

TEST_F(Checklist, IsAllYesWhereEverythingWasDone) {
  all_.findings = diagnose(config_, all_.evidence);
  for (const ChecklistLine& each : answer_checklist(config_, all_)) {
    EXPECT_EQ(each.answer, Answer::kYes) << each.code << ": " << each.because;
    EXPECT_EQ(each.remedy, "") << each.code;
    EXPECT_NE(each.because, "") << each.code;
  }
}

TEST_F(Checklist, BackupsHaveToRunWithTheirWal) {
  all_.evidence.server.archiver.on = false;
  EXPECT_EQ(answer("automated_backups"), Answer::kNo);
  EXPECT_EQ(answer("nothing_wrong"), Answer::kNo);
  all_.evidence.server.archiver.on = true;
  first().last_good = backup_that_ended(kNow - 27h);
  EXPECT_EQ(answer("automated_backups"), Answer::kNo);
  first().last_good.reset();
  EXPECT_EQ(answer("automated_backups"), Answer::kNo);
}

TEST_F(Checklist, ThreeDaysAreCountedInTheConfiguredZone) {
  // At noon of the 8th, at 2 and at 11 of the 10th; at 2 it is still the 9th in New York.
  first().backups = {backup_that_ended(kNow - 48h), backup_that_ended(kNow - 10h),
                     backup_that_ended(kNow - 1h)};
  EXPECT_EQ(answer("three_days"), Answer::kNo);
  config_.timezone = "America/New_York";
  EXPECT_EQ(answer("three_days"), Answer::kYes) << line("three_days").because;
}

TEST_F(Checklist, ThreeDaysHaveToBeGoodAndTheLast) {
  first().bad = {first().backups.at(1).name.id.text};
  EXPECT_EQ(answer("three_days"), Answer::kNo);
  first().bad.clear();
  all_.evidence.now += days(2);
  EXPECT_EQ(answer("three_days"), Answer::kNo);
}

TEST_F(Checklist, AManualBackupHasToBeVerified) {
  first().deliberate->proof.reset();
  EXPECT_EQ(answer("manual_backup"), Answer::kNo);
  EXPECT_THAT(line("manual_backup").remedy, HasSubstr("holdfast verify 2026"));
  first().deliberate.reset();
  EXPECT_EQ(answer("manual_backup"), Answer::kNo);
}

TEST_F(Checklist, APointInTimeIsNotTheEnd) {
  drills().erase(drills().begin() + 1);
  EXPECT_EQ(answer("point_in_time"), Answer::kNo);
  RecoveryView view;
  view.record.target.kind = RecoveryTarget::Kind::kTime;
  view.record.verdict = RecoveryVerdict{.passed = false};
  all_.evidence.machine.recoveries = {view};
  EXPECT_EQ(answer("point_in_time"), Answer::kNo);
  all_.evidence.machine.recoveries[0].record.verdict->passed = true;
  EXPECT_EQ(answer("point_in_time"), Answer::kYes);
}

TEST_F(Checklist, ADrillThatFailedIsNoRestore) {
  drills().back().passed = drills().back().proven = false;
  EXPECT_EQ(answer("full_restore"), Answer::kNo);
  drills() = {drill(days(100), "x")};
  EXPECT_EQ(answer("full_restore"), Answer::kNo);
  EXPECT_EQ(answer("point_in_time"), Answer::kNo);
  EXPECT_EQ(answer("monthly_drill"), Answer::kNo);
}

TEST_F(Checklist, TimesAreComparedWithObjectives) {
  drills().back().recovery_seconds = 3601.0;
  EXPECT_EQ(answer("recovery_time"), Answer::kNo);
  drills().back().recovery_point_seconds.reset();  // the one before tells
  EXPECT_EQ(answer("recovery_point"), Answer::kYes);
  config_.objectives = {};
  EXPECT_EQ(answer("recovery_point"), Answer::kNo);
  EXPECT_THAT(line("recovery_time").remedy, HasSubstr("objectives.recovery_time"));
}

TEST_F(Checklist, OneDrillMakesNoCalendar) {
  drills() = {drill(days(5), "the end of the archive")};
  EXPECT_EQ(answer("monthly_drill"), Answer::kNotKnown);
}

TEST_F(Checklist, WhatPeopleConfirmHoldsForAYear) {
  all_.attestations.back().time = to_rfc3339(kNow - days(366));
  EXPECT_EQ(answer("runbook"), Answer::kNotKnown);
  EXPECT_THAT(line("runbook").remedy, HasSubstr("--attest runbook"));
  all_.attestations.clear();
  EXPECT_EQ(answer("team"), Answer::kNotKnown);
}

TEST_F(Checklist, TheDrillsOfTheQuarterAndOfTheYearAreAskedForApart) {
  EXPECT_EQ(answer("quarterly_drill"), Answer::kYes);
  EXPECT_EQ(answer("yearly_drill"), Answer::kYes);  // nothing is cold
  config_.repositories.resize(1);
  config_.repositories[0].name = "cold";
  config_.repositories[0].copy.standalone = true;
  EXPECT_EQ(answer("yearly_drill"), Answer::kNo);
  drills().front().preset = "yearly";
  drills().front().repository = "hot";
  EXPECT_EQ(answer("yearly_drill"), Answer::kNo) << "of another repository";
  drills().front().repository = "cold";
  EXPECT_EQ(answer("yearly_drill"), Answer::kYes);
  EXPECT_EQ(answer("quarterly_drill"), Answer::kNo);
  drills().front().time = kNow - days(381);
  EXPECT_EQ(answer("yearly_drill"), Answer::kNo);
  EXPECT_THAT(line("yearly_drill").remedy, HasSubstr("holdfast drill --preset yearly"));
}

// Where a repository could not be seen, a drill may be proven there; one that was seen is one.
TEST_F(Checklist, ARareDrillIsNotMissedWhereNobodyCouldLook) {
  all_.evidence.machine.knows_rare_drills = false;
  EXPECT_EQ(answer("quarterly_drill"), Answer::kYes);
  drills().front().time = kNow - days(107);
  EXPECT_EQ(answer("quarterly_drill"), Answer::kNotKnown) << "a newer one may be";
  EXPECT_THAT(line("quarterly_drill").remedy, HasSubstr("holdfast doctor"));
  drills().clear();
  EXPECT_EQ(answer("quarterly_drill"), Answer::kNotKnown);
  all_.evidence.machine.knows_rare_drills = true;
  EXPECT_EQ(answer("quarterly_drill"), Answer::kNo);
}

TEST_F(Checklist, AKeyOfAnEncryptedRepositoryHasToBeElsewhere) {
  first().encrypted = true;
  all_.keys = {
      {.repository = "hot", .encrypted = true, .slots = {{.id = "1", .configured = true}}}};
  EXPECT_EQ(answer("key_elsewhere"), Answer::kNotKnown);
  all_.keys[0].slots.push_back({.id = "2", .kind = "passphrase", .label = "safe"});
  EXPECT_THAT(line("key_elsewhere").because, HasSubstr("also opens with safe (passphrase)"));
  all_.attestations.push_back({"key_elsewhere", "A. Sample", "in the safe", to_rfc3339(kNow), "x"});
  EXPECT_EQ(answer("key_elsewhere"), Answer::kYes);
}

TEST_F(Checklist, OnlyWhatPeopleKnowCanBeConfirmed) {
  const TempFolder folder;
  config_.state_directory = folder / "state";
  EXPECT_THROW(attest(config_, {.line = "three_days", .by = "x", .note = ""}), Error);
  EXPECT_THROW(attest(config_, {.line = "../x", .by = "x", .note = ""}), Error);
  EXPECT_THROW(attest(config_, {.line = "team", .by = "", .note = ""}), Error);
  EXPECT_EQ(attest(config_, {.line = "team", .by = "A", .note = "n"}).by, "A");
}

}  // namespace
}  // namespace holdfast
