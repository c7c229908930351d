// From evidence to causes: one thing broken at a time, and what it explains.
#include "app/diagnosis.h"

#include <algorithm>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/app/evidence_maker.h"

namespace holdfast {
namespace {

using namespace holdfast::test;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Case {
  std::string name;
  std::function<void(Evidence&)> broken;
  std::string code;  // of the only warning or worse; empty: none
  ProblemSeverity severity = ProblemSeverity::kCritical;
  std::size_t explains = 0;
};

std::function<void(Evidence&)> with_promotion(RecoveryView::State state,
                                              std::vector<std::string> steps) {
  return [state, steps = std::move(steps)](Evidence& evidence) {
    RecoveryView view{.record = {.name = "recovery", .began = to_rfc3339(kNow - 1h)},
                      .state = state,
                      .next = "holdfast recover promote recovery goes on"};
    view.record.promotion.emplace();
    for (const std::string& step : steps) view.record.steps.push_back({.name = step});
    evidence.machine.recoveries = {view};
  };
}

void PrintTo(const Case& tested, std::ostream* out) {
  *out << tested.name;
}

Trouble storage(const std::string& message) {
  return {ErrorKind::kRepository, message};
}
std::function<void(Evidence&)> with_trouble(Trouble trouble) {
  return [trouble = std::move(trouble)](Evidence& evidence) {
    RepositoryEvidence& first = first_of(evidence);
    first.trouble = trouble;
    first.opened = first.registered = false;
    first.last_good.reset();
    let_archiving_fail(evidence, 30min, 20);
  };
}
// As long as this the cluster is in its repository; the doctor has looked for all drills.
std::function<void(Evidence&)> known_for(std::chrono::days age) {
  return [age](Evidence& evidence) {
    evidence.machine.knows_rare_drills = true;
    first_of(evidence).known_since = kNow - age;
  };
}

std::function<void(Evidence&)> with_rare_drill(const char* preset, std::chrono::days age) {
  return [preset, age](Evidence& evidence) {
    known_for(std::chrono::days(900))(evidence);
    evidence.machine.drills.insert(
        evidence.machine.drills.begin(),
        {.time = kNow - age, .passed = true, .proven = true, .backup = "x", .preset = preset});
  };
}

std::function<void(Evidence&)> with_drill(DrillEvidence drill) {
  return [drill = std::move(drill)](Evidence& evidence) { evidence.machine.drills = {drill}; };
}
std::function<void(Evidence&)> with_backup_of(std::chrono::hours age) {
  return [age](Evidence& evidence) {
    first_of(evidence).last_good = backup_that_ended(kNow - age);
    first_of(evidence).backups = {*first_of(evidence).last_good};
  };
}
void unfinished_since(Evidence& evidence, std::chrono::hours age) {
  first_of(evidence).unfinished = {
      {.id = "x", .host = "db1", .started = to_rfc3339(kNow - age), .pid = 7}};
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {"Nothing", [](Evidence&) {}, ""},
      // What explains that archiving fails and WAL waits: two consequences.
      {"Away", with_trouble(storage("the repository folder /srv/hot does not exist")),
       "storage_missing", ProblemSeverity::kCritical, 2},
      {"Denied", with_trouble(storage("S3 PUT x failed: HTTP 403 AccessDenied")), "storage_denied",
       ProblemSeverity::kCritical, 2},
      {"DeniedFolder", with_trouble(storage("cannot open x: Permission denied")), "storage_denied",
       ProblemSeverity::kCritical, 2},
      {"Credentials", with_trouble(storage("S3 GET x failed: HTTP 403 InvalidAccessKeyId")),
       "wrong_credentials", ProblemSeverity::kCritical, 2},
      {"SkewedForS3", with_trouble(storage("S3 GET x failed: HTTP 403 RequestTimeTooSkewed")),
       "clock_skew", ProblemSeverity::kCritical, 2},
      {"Unreachable", with_trouble(storage("connection refused")), "storage_unreachable",
       ProblemSeverity::kCritical, 2},
      {"WrongKey", with_trouble({ErrorKind::kWrongKey, "no slot opens"}), "wrong_key",
       ProblemSeverity::kCritical, 2},
      {"Full", with_trouble(storage("cannot write x: No space left on device")), "storage_full",
       ProblemSeverity::kCritical, 2},
      {"DamagedRecord", with_trouble({ErrorKind::kDamage, "its checksum is wrong"}),
       "repository_damaged", ProblemSeverity::kCritical, 2},
      {"NotRegistered",
       [](Evidence& evidence) {
         with_trouble({})(evidence);
         first_of(evidence).trouble.reset();
         first_of(evidence).opened = true;
       },
       "not_registered", ProblemSeverity::kCritical, 2},
      {"SecondNotRegistered",
       [](Evidence& evidence) {
         evidence.repositories.back().registered = evidence.repositories.back().must = false;
       },
       "not_registered", ProblemSeverity::kWarning},
      {"WalDropped",
       [](Evidence& evidence) {
         first_of(evidence).dropped = DroppedSummary{.last = {.segments = 3}, .records = 1};
       },
       "wal_dropped"},
      {"WalDroppedAndABackupSince",
       [](Evidence& evidence) {
         first_of(evidence).dropped =
             DroppedSummary{.last = {.segments = 3}, .records = 1, .backup_since = "x"};
       },
       ""},
      {"ARightThatLacks",
       [](Evidence& evidence) {
         first_of(evidence).rights = {
             {"repository rights", FindingLevel::kFailed, "HTTP 403 AccessDenied on PUT"}};
       },
       "storage_denied"},
      {"SecondAway",
       [](Evidence& evidence) {
         evidence.repositories.back().trouble = storage("connection refused");
         evidence.repositories.back().lag = RepositoryLag{.repository = "cold", .missing = 3};
       },
       "storage_unreachable", ProblemSeverity::kWarning, 1},
      {"SecondBehind",
       [](Evidence& evidence) {
         evidence.repositories.back().lag = RepositoryLag{.repository = "cold", .missing = 3};
       },
       "repository_behind", ProblemSeverity::kWarning},
      {"Skewed", [](Evidence& evidence) { evidence.server.clock_ahead = 6min; }, "clock_skew"},
      {"PostgresDown",
       [](Evidence& evidence) {
         evidence.server = {.trouble = Trouble{ErrorKind::kPostgres, "refused"}};
       },
       "postgres_unreachable"},
      {"ArchivingOff", [](Evidence& evidence) { evidence.server.archiver.on = false; },
       "archiving_off"},
      {"OffOnAStandby",
       [](Evidence& evidence) {
         evidence.server.archiver.on = false;
         evidence.server.standby = true;
       },
       ""},
      {"RestoredCopy",
       [](Evidence& evidence) {
         evidence.server.archiver.on = false;
         evidence.server.restored = true;
       },
       "restored_copy", ProblemSeverity::kCritical, 1},
      {"SomebodyElsesCommand",
       [](Evidence& evidence) {
         evidence.server.archiver.unfit = {{.name = "archive_command", .current = "/bin/false"}};
         let_archiving_fail(evidence, 30min, 20);
       },
       "archive_setting", ProblemSeverity::kCritical, 2},
      {"FailsForALittleWhile", [](Evidence& evidence) { let_archiving_fail(evidence, 20min, 2); },
       "archiving_failing", ProblemSeverity::kWarning, 1},
      {"FailsForLong", [](Evidence& evidence) { let_archiving_fail(evidence, 2h, 2); },
       "archiving_failing", ProblemSeverity::kCritical, 1},
      {"FillsTheDisk",
       [](Evidence& evidence) {
         let_archiving_fail(evidence, 10min, 600);  // 9.4 GiB in 10 minutes, 100 GiB free
       },
       "archiving_failing", ProblemSeverity::kCritical, 1},
      {"IsSlow",
       [](Evidence& evidence) {
         let_archiving_fail(evidence, 20min, 2);
         evidence.server.archiver.last_archived = kNow;
       },
       "wal_backlog", ProblemSeverity::kWarning},
      {"IsBusy",
       [](Evidence& evidence) {
         let_archiving_fail(evidence, 5min, 30);
         evidence.server.archiver.last_archived = kNow;
       },
       ""},
      {"Gap",
       [](Evidence& evidence) {
         first_of(evidence).gaps = {{.open = true, .missing = 1, .first_missing = "x"}};
       },
       "wal_gap"},
      {"GapBehindWhichThereIsABackup",
       [](Evidence& evidence) {
         first_of(evidence).gaps = {{.to = kNow, .missing = 1, .first_missing = "x"}};
       },
       ""},
      {"TwoWriters",
       [](Evidence& evidence) {
         first_of(evidence).writers = {{"other writers", FindingLevel::kFailed, "timeline 2"}};
         let_archiving_fail(evidence, 30min, 20);
       },
       "two_writers", ProblemSeverity::kCritical, 2},
      {"NoBackup",
       [](Evidence& evidence) {
         first_of(evidence).last_good.reset();
         first_of(evidence).backups.clear();
       },
       "no_backup"},
      {"BackupOverdue", with_backup_of(27h), "backup_overdue", ProblemSeverity::kWarning},
      {"BackupLongOverdue", with_backup_of(51h), "backup_overdue", ProblemSeverity::kCritical},
      {"BackupOverdueButRunning",
       [](Evidence& evidence) {
         with_backup_of(27h)(evidence);
         unfinished_since(evidence, 1h);
         evidence.server.backup_runs = true;
       },
       ""},
      {"BackupStuck",
       [](Evidence& evidence) {
         unfinished_since(evidence, 3h);
         evidence.server.backup_runs = true;
       },
       "backup_stuck", ProblemSeverity::kWarning},
      {"BackupThatStoresNothing",
       [](Evidence& evidence) {
         unfinished_since(evidence, 3h);
         first_of(evidence).unfinished.back().last_stored = kNow - 31min;
         evidence.server.backup_runs = true;
       },
       "backup_stuck", ProblemSeverity::kWarning},
      {"BackupThatGoesOn",
       [](Evidence& evidence) {
         unfinished_since(evidence, 30h);
         first_of(evidence).unfinished.back().last_stored = kNow - 29min;
         evidence.server.backup_runs = true;
       },
       ""},
      {"CanarySilent",
       [](Evidence& evidence) { evidence.server.canary = CanaryEvidence{kNow - 6min}; },
       "canary_silent", ProblemSeverity::kWarning},
      {"CanaryNeverWrote", [](Evidence& evidence) { evidence.server.canary.emplace(); },
       "canary_silent", ProblemSeverity::kWarning},
      {"CanarySings",
       [](Evidence& evidence) { evidence.server.canary = CanaryEvidence{kNow - 4min}; }, ""},
      {"BackupFailed",
       [](Evidence& evidence) {
         with_backup_of(27h)(evidence);
         unfinished_since(evidence, 3h);
       },
       "backup_failed", ProblemSeverity::kWarning, 1},
      {"ADeadBackupThatWasMadeGood", [](Evidence& evidence) { unfinished_since(evidence, 20h); },
       ""},
      {"Damaged", [](Evidence& evidence) { first_of(evidence).bad = {"x"}; }, "backup_damaged"},
      {"RetentionNotRunning",
       [](Evidence& evidence) {
         first_of(evidence).retention_state = RetentionEvidence{.unmarked = 4};
       },
       "retention_not_running", ProblemSeverity::kWarning},
      {"RetentionRunning",
       [](Evidence& evidence) {
         first_of(evidence).retention_state = RetentionEvidence{.unmarked = 2};
       },
       ""},
      {"DrillFailed", with_drill({.time = kNow - 1h, .backup = "x", .failed = "checksums"}),
       "drill_failed"},
      {"ObjectiveMissed",
       with_drill({.time = kNow - 1h, .proven = true, .backup = "x", .failed = "recovery time"}),
       "objective_missed", ProblemSeverity::kWarning},
      {"DrillOverdue",
       with_drill({.time = kNow - std::chrono::days(36), .passed = true, .proven = true}),
       "drill_overdue", ProblemSeverity::kWarning},
      {"QuarterlyDrillOverdue", known_for(std::chrono::days(107)), "quarterly_drill_overdue",
       ProblemSeverity::kWarning},
      {"QuarterlyDrillNotYetDue", known_for(std::chrono::days(105)), ""},
      {"QuarterlyDrillDone", with_rare_drill("quarterly", std::chrono::days(105)), ""},
      {"QuarterlyDrillDoneLongAgo", with_rare_drill("quarterly", std::chrono::days(107)),
       "quarterly_drill_overdue", ProblemSeverity::kWarning},
      {"NeverDrilledAndYoung", [](Evidence& evidence) { evidence.machine.drills.clear(); }, ""},
      {"NeverDrilled",
       [](Evidence& evidence) {
         evidence.machine.drills.clear();
         first_of(evidence).backups.push_back(backup_that_ended(kNow - std::chrono::days(36)));
       },
       "drill_overdue", ProblemSeverity::kWarning},
      {"NoRights",
       [](Evidence& evidence) {
         evidence.machine.checks = {{"privileges", FindingLevel::kFailed, "lacks execute"}};
       },
       "setting"},
      {"Advice",
       [](Evidence& evidence) {
         evidence.machine.checks = {{"summarize_wal", FindingLevel::kWarning, "it is off"}};
       },
       ""},
      {"SlowReplay",
       [](Evidence& evidence) {
         evidence.server.standby = true;
         evidence.server.replay = ReplayEvidence{.whose = "this standby",
                                                 .behind = std::uint64_t{10} << 30U,
                                                 .bytes_per_second = 1048576.0,
                                                 .waits = {{"IO: DataFileRead", 18}}};
       },
       "slow_replay", ProblemSeverity::kWarning},
      {"FastReplay",
       [](Evidence& evidence) {
         evidence.server.standby = true;
         evidence.server.replay = ReplayEvidence{
             .whose = "this standby", .behind = std::uint64_t{1} << 30U, .bytes_per_second = 5e8};
       },
       ""},
      {"PromotionFailed", with_promotion(RecoveryView::State::kFailed, {"start server"}),
       "promotion_stopped"},
      {"PromotionInterrupted",
       with_promotion(RecoveryView::State::kInterrupted, {"fence old server"}),
       "promotion_stopped"},
      {"PromotionUnderWay", with_promotion(RecoveryView::State::kWorking, {"set aside"}), ""},
      {"PromotionEnded", with_promotion(RecoveryView::State::kPromoted, {"back up"}), ""},
      {"AbandonInterrupted",
       with_promotion(RecoveryView::State::kInterrupted, {"back up", "abandon"}), "recovery_broken",
       ProblemSeverity::kWarning},
      {"StateDirectory",
       [](Evidence& evidence) {
         evidence.machine.troubles = {{ErrorKind::kHost, "cannot use /var: Permission denied"}};
       },
       "state_directory"}};
  return all;
}

class Diagnosis : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Of, Diagnosis, testing::ValuesIn(cases()),
                         [](const auto& tested) { return tested.param.name; });

TEST_P(Diagnosis, FindsTheCauseAndNothingElse) {
  const Case& tested = GetParam();
  Evidence evidence = good_evidence();
  tested.broken(evidence);
  std::vector<std::string> codes;
  std::vector<Finding> findings = diagnose({}, evidence);
  std::erase_if(findings,
                [](const Finding& each) { return each.severity == ProblemSeverity::kNotice; });
  for (const Finding& finding : findings) codes.push_back(finding.code);
  if (tested.code.empty()) {
    EXPECT_THAT(codes, IsEmpty());
    return;
  }
  ASSERT_THAT(codes, ElementsAre(tested.code));
  const Finding& found = findings.front();
  EXPECT_EQ(found.severity, tested.severity);
  EXPECT_EQ(found.explains.size(), tested.explains) << found.title;
  EXPECT_FALSE(found.title.empty());
  EXPECT_FALSE(found.consequence.empty());
  if (found.code != "two_writers" && found.code != "setting") {  // which come from `check`
    EXPECT_FALSE(found.remedy.empty());
  }
}

TEST(Diagnosis, TheObjectiveSaysHowLongWalMayWait) {
  Evidence evidence = good_evidence();
  let_archiving_fail(evidence, 20min, 2);
  Config config;
  config.objectives.recovery_point = 10min;
  EXPECT_EQ(worst_of(diagnose(config, evidence)), ProblemSeverity::kCritical);
}

// kNow is a Tuesday at noon.
TEST(Diagnosis, BackupsAreExpectedByTheirSchedule) {
  const auto severity = [](const std::string& schedule, std::chrono::hours age) {
    Evidence evidence = good_evidence();
    with_backup_of(age)(evidence);
    Config config;
    config.backup.schedule = schedule;
    return worst_of(diagnose(config, evidence));
  };
  EXPECT_EQ(severity("0 2 * * *", 26h), ProblemSeverity::kNotice);
  EXPECT_EQ(severity("0 2 * * *", 27h), ProblemSeverity::kWarning);
  EXPECT_EQ(severity("@weekly", 7 * 24h + 2h), ProblemSeverity::kNotice);
  EXPECT_EQ(severity("@weekly", 7 * 24h + 3h), ProblemSeverity::kWarning);
  EXPECT_EQ(severity("@weekly", 14 * 24h + 3h), ProblemSeverity::kCritical);
  EXPECT_EQ(severity("@hourly", 4h), ProblemSeverity::kWarning);
  EXPECT_EQ(severity("@hourly", 5h), ProblemSeverity::kCritical);
  // Of Friday 03:00, with the next on Monday; of Monday 02:00, with the next on Tuesday.
  EXPECT_EQ(severity("0 2 * * mon-fri", 4 * 24h + 9h), ProblemSeverity::kWarning);
  EXPECT_EQ(severity("0 14 * * mon-fri", 3 * 24h + 21h), ProblemSeverity::kWarning);
  EXPECT_EQ(severity("0 14 * * mon-fri", 3 * 24h + 1h), ProblemSeverity::kNotice);
  EXPECT_EQ(severity("0 2 * * mon-fri", 34h), ProblemSeverity::kWarning);
}

// In which a canary writes seldom, it is silent later.
TEST(Diagnosis, TheCanaryIsExpectedByItsInterval) {
  Evidence evidence = good_evidence();
  evidence.server.canary = CanaryEvidence{kNow - 25min};
  Config config;
  config.canary.interval = 10min;
  EXPECT_EQ(worst_of(diagnose(config, evidence)), ProblemSeverity::kNotice);
  config.canary.interval = 8min;
  EXPECT_EQ(worst_of(diagnose(config, evidence)), ProblemSeverity::kWarning);
}

// kNow is the 10th at noon.
TEST(Diagnosis, CopiesAreExpectedByTheirSchedule) {
  const auto codes = [](const std::string& schedule, std::vector<std::chrono::hours> backups,
                        std::vector<std::chrono::hours> copies) {
    Evidence evidence = good_evidence();
    RepositoryEvidence& first = first_of(evidence);
    first.backups.clear();
    for (const auto age : backups) first.backups.push_back(backup_that_ended(kNow - age));
    for (const auto age : copies) {
      evidence.repositories[1].backups.push_back(backup_that_ended(kNow - age));
    }
    Config config;
    config.repositories = {{.name = "hot"}, {.name = "cold", .copy = {.schedule = schedule}}};
    std::vector<std::string> found;
    for (const Finding& finding : diagnose(config, evidence)) found.push_back(finding.code);
    return found;
  };
  const auto overdue = ElementsAre("copy_overdue");
  EXPECT_THAT(codes("0 6 * * *", {58h, 34h, 10h}, {58h}), IsEmpty());
  EXPECT_THAT(codes("0 6 * * *", {61h, 37h, 13h}, {61h}), overdue);
  EXPECT_THAT(codes("0 6 * * *", {61h, 37h, 13h}, {13h}), IsEmpty());
  EXPECT_THAT(codes("0 6 * * *", {61h}, {61h}), IsEmpty()) << "there is nothing to copy";
  EXPECT_THAT(codes("0 6 * * *", {37h}, {}), overdue) << "nothing was ever copied";
  EXPECT_THAT(codes("0 6 1 * *", {28 * 24h, 10h}, {29 * 24h}), IsEmpty());
  EXPECT_THAT(codes("0 6 1 * *", {40 * 24h, 10h}, {41 * 24h}), overdue);
  EXPECT_THAT(codes("", {61h}, {}), IsEmpty()) << "by hand";
}

// 00:10 on Monday in Berlin is still Sunday in UTC.
TEST(Diagnosis, ASchedulesDaysAreOfTheTimeZone) {
  const Timestamp ended{std::chrono::sys_days{std::chrono::year{2026} / 3 / 8} + 23h + 10min};
  Config config;
  config.backup.schedule = "0 0 * * mon-fri";
  config.timezone = "Europe/Berlin";
  EXPECT_EQ(backup_limits(config, ended).overdue, 26h);
  EXPECT_EQ(backup_limits(config, ended).long_overdue, 50h);
  config.timezone = "UTC";
  EXPECT_EQ(backup_limits(config, ended).overdue, 74h);
}

TEST(Diagnosis, SaysWhenTheDiskIsFullFromWhatWaits) {
  Evidence evidence = good_evidence();
  let_archiving_fail(evidence, 10min, 600);
  const WalRisk risk = wal_risk(evidence);
  ASSERT_TRUE(risk.disk_full_in);
  EXPECT_NEAR(*risk.bytes_per_second, 16777216.0, 1.0);
  EXPECT_NEAR(risk.disk_full_in->count(), 6400.0, 1.0);
  const auto findings = diagnose({}, evidence);
  EXPECT_THAT(findings.front().explains.front(), HasSubstr("is full in 1 h 46 min"));
}

TEST(Diagnosis, TheWorstComesFirst) {
  Evidence evidence = good_evidence();
  first_of(evidence).last_good = backup_that_ended(kNow - 27h);
  first_of(evidence).gaps = {{.open = true, .missing = 1, .first_missing = "x"}};
  const auto findings = diagnose({}, evidence);
  ASSERT_EQ(findings.size(), 2U);
  EXPECT_EQ(findings[0].code, "wal_gap");
  EXPECT_EQ(findings[1].code, "backup_overdue");
}

// Worth knowing, and nothing is wrong: each by its code, with the evidence.
TEST(Diagnosis, ToldAsNotices) {
  Evidence evidence = good_evidence();
  evidence.machine.leftovers = {"/state/drill: the copy of a drill that was killed"};
  first_of(evidence).rights = {{"repository rights", FindingLevel::kWarning,
                                "objects cannot be deleted", "as it should be"}};
  const std::vector<Finding> findings = diagnose({}, evidence);
  ASSERT_EQ(findings.size(), 2U);
  EXPECT_EQ(worst_of(findings), ProblemSeverity::kNotice);
  EXPECT_EQ(findings[0].code, "repository_rights");
  EXPECT_EQ(findings[0].repository, "hot");
  EXPECT_NE(findings[0].title.find("objects cannot be deleted"), std::string::npos);
  EXPECT_EQ(findings[1].code, "leftovers");
  EXPECT_EQ(findings[1].evidence, evidence.machine.leftovers);
}

// Where there is a cold repository, and by what status alone has not looked for.
TEST(Diagnosis, TheYearlyDrillIsOfTheColdRepository) {
  Config config;
  Evidence evidence = good_evidence();
  with_rare_drill("quarterly", std::chrono::days(10))(evidence);
  EXPECT_TRUE(diagnose(config, evidence).empty());
  config.repositories.resize(2);
  config.repositories[1].name = "cold";
  config.repositories[1].copy.standalone = true;
  ASSERT_EQ(diagnose(config, evidence).size(), 1U);
  EXPECT_EQ(diagnose(config, evidence).front().code, "yearly_drill_overdue");
  evidence.machine.knows_rare_drills = false;
  EXPECT_TRUE(diagnose(config, evidence).empty());
  evidence.machine.knows_rare_drills = true;
  evidence.machine.drills.front().preset = "yearly";
  evidence.machine.drills.front().repository = "hot";
  EXPECT_EQ(diagnose(config, evidence).size(), 2U) << "out of another repository";
  evidence.machine.drills.front().repository = "cold";
  ASSERT_EQ(diagnose(config, evidence).size(), 1U);
  EXPECT_EQ(diagnose(config, evidence).front().code, "quarterly_drill_overdue");
  evidence.machine.drills.front().proven = false;
  EXPECT_EQ(diagnose(config, evidence).size(), 2U);
}

}  // namespace
}  // namespace holdfast
