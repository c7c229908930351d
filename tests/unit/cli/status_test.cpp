// The forms of `status`: the JSON shape (docs/json.md), the screen, the line for Nagios.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/status_views.h"
#include "unit/app/evidence_maker.h"

namespace holdfast::cli {
namespace {

using namespace holdfast::test;
using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(StatusJson, of_a_good_set_up_and_a_second_repository_that_is_away) {
  Evidence evidence = good_evidence();
  evidence.repositories.back().opened = false;
  evidence.repositories.back().trouble = Trouble{ErrorKind::kRepository, "refused", "look"};
  evidence.machine.running = {{"backup", 42}};
  const Json json = status_json(evidence, diagnose({}, evidence));
  EXPECT_EQ(json, Json::parse(R"({
    "cluster": "demo", "time": "2026-03-10T12:00:00Z", "health": "warning",
    "problems": [{"code": "storage_unreachable", "severity": "warning", "repository": "cold",
                  "title": "repository cold: the storage cannot be reached",
                  "remedy": "Look at the network and the server; 'holdfast check' tries it again."}],
    "postgres": {"reachable": true, "problem": null, "version": "15.3", "role": "primary",
                 "timeline": 1, "restored_copy": false, "replay_behind_bytes": null},
    "archiving": {"on": true, "failing": false, "last_archived": "000000010000000000000007",
                  "last_archived_time": "2026-03-10T11:58:00Z", "last_failed": null,
                  "last_failed_time": null, "message": null, "waiting_segments": 0,
                  "waiting_bytes": 0, "waiting_since": null, "free_bytes": 107374182400,
                  "growth_bytes_per_second": null, "disk_full_seconds": null},
    "repositories": [
      {"name": "hot", "url": "file:///srv/hot", "as_of": null, "wal": true, "reachable": true, "problem": null,
       "backups": 1,
       "last_good": {"id": "20260310T020000Z-0001", "name": null, "type": "incr",
                     "stop_time": "2026-03-10T02:00:00Z", "age_seconds": 36000.0,
                     "data_bytes": 2000, "stored_bytes": 1000, "proof": null},
       "window": {"from": "2026-03-10T02:00:00Z", "to": "2026-03-10T11:57:00Z",
                  "to_is_exact": true, "to_lsn": "0/7000000", "timeline": 1},
       "gaps": 0, "lag": null},
      {"name": "cold", "url": "s3://bucket/cold", "as_of": null, "wal": true, "reachable": false,
       "problem": {"kind": "repository", "message": "refused", "hint": "look"},
       "backups": null, "last_good": null, "window": null, "gaps": 0, "lag": null}],
    "drill": {"time": "2026-03-05T12:00:00Z", "passed": true, "backup": "20260304T020000Z-0001",
              "target": "the end of the archive", "recovery_seconds": 90.0,
              "recovery_point_seconds": null, "failed": null},
    "running": [{"what": "backup", "pid": 42}], "recoveries": []})"))
      << json.dump(1);
}

TEST(StatusText, shouts_what_is_wrong) {
  Evidence evidence = good_evidence();
  evidence.server.archiver.on = false;
  const std::string text = status_text(evidence, diagnose({}, evidence), Style());
  EXPECT_THAT(text, StartsWith("demo: CRITICAL\n"));
  EXPECT_THAT(text, HasSubstr("OFF: WAL is not archived"));
  EXPECT_THAT(text, HasSubstr("holdfast init --apply"));
}

TEST(StatusText, names_cannot_steer_the_terminal) {
  Evidence evidence = good_evidence();
  evidence.repositories.front().trouble = Trouble{ErrorKind::kRepository, "x\033[2Jy\nz"};
  const std::string text = status_text(evidence, diagnose({}, evidence), Style());
  EXPECT_EQ(text.find('\033'), std::string::npos);
}

TEST(NagiosLine, carries_the_worst_and_the_numbers) {
  Evidence evidence = good_evidence();
  const NagiosLine good = nagios_line({}, evidence, diagnose({}, evidence));
  EXPECT_EQ(good.exit, 0);
  EXPECT_EQ(good.text,
            "HOLDFAST OK - demo: backups and WAL are as they should be |"
            " 'backup_age_hot'=36000s;93600;180000;0 wal_waiting=0;;;0 wal_waiting_bytes=0B;;;0"
            " wal_waiting_age=0s;;;0 wal_disk_free=107374182400B;;;0"
            " drill_age=432000s;3024000;;0\n");
  evidence.repositories.front().trouble = Trouble{ErrorKind::kRepository, "a|b\nc"};
  const NagiosLine bad = nagios_line({}, evidence, diagnose({}, evidence));
  EXPECT_EQ(bad.exit, 2);
  EXPECT_THAT(bad.text, StartsWith("HOLDFAST CRITICAL - demo: repository hot: "));
  EXPECT_EQ(std::ranges::count(bad.text, '|'), 1);
  EXPECT_EQ(std::ranges::count(bad.text, '\n'), 1);
  EXPECT_EQ(nagios_unknown(Error(ErrorKind::kBug, "a|b")).exit, 3);
}

TEST(DoctorJson, of_a_cause_with_its_consequences) {
  Evidence evidence = good_evidence();
  let_archiving_fail(evidence, 30min, 20);
  evidence.server.archiver.unfit = {{.name = "archive_command",
                                     .current = "/bin/false",
                                     .wanted = "ours",
                                     .without = "WAL is not archived yet"}};
  const auto findings = diagnose({}, evidence);
  Json json = findings_json(findings);
  ASSERT_EQ(json.at("findings").size(), 1U);
  EXPECT_EQ(json.at("findings")[0].at("explains").size(), 2U);
  json["findings"][0].erase("explains");
  EXPECT_EQ(json, Json::parse(R"({
    "findings": [{"code": "archive_setting", "severity": "critical", "repository": null,
                  "title": "archive_command is /bin/false", "evidence": ["wanted is: ours"],
                  "consequence": "WAL does not come into the repository: WAL is not archived yet.",
                  "remedy": "'holdfast init --apply' sets it."}],
    "critical": 1, "warnings": 0})"));
  const std::string text = findings_text(findings, Style());
  EXPECT_THAT(text, StartsWith("critical: archive_command is /bin/false\n"));
  EXPECT_THAT(text, HasSubstr("  also explains archive_command fails"));
  EXPECT_THAT(findings_text({}, Style()), HasSubstr("Nothing is wrong"));
}

}  // namespace
}  // namespace holdfast::cli
