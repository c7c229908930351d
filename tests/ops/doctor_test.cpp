// `doctor`: each cause is provoked on a real server, found, mended as it says, and then gone.
#include <chrono>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "ops/suite.h"
#include "support/s3_server.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const Codes kNothing;

// archive-push gives up soon, so that PostgreSQL sees it fail.
ArchivedOptions impatient() {
  return {.program = {.lines = {"wal: {timeout: 5s}"}}};
}

class Doctor : public testing::Test {
 protected:
  Answer ask() {
    Answer answer = observed().run({"doctor"});
    EXPECT_EQ(answer.outcome.exit_code, Observed::codes(answer, "findings").empty() ? 0 : 1)
        << answer.text();
    return answer;
  }
  // Until the answer is this one: PostgreSQL may need another attempt at archiving meanwhile, which
  // is a finding too.
  Answer ask_for(const Codes& expected) {
    constexpr int kTriesMax = 90;
    for (int i = 0;; ++i) {
      Answer answer = ask();
      if (i == kTriesMax || Observed::codes(answer, "findings") == expected) return answer;
      std::this_thread::sleep_for(std::chrono::seconds(1));
    }
  }
  // Of a server on which the archiver has done its work: it may fail and try again meanwhile.
  Codes found() {
    until_all_is_archived();
    return Observed::codes(ask_for(kNothing), "findings");
  }
  Observed& observed(const ArchivedOptions& options = {}) {
    if (!observed_) observed_.emplace(options);
    return *observed_;
  }
  PostgresCluster& server() { return observed().server(); }
  std::string end_segment() {
    return server().sql(
        "select pg_create_restore_point('end'); select pg_walfile_name(pg_switch_wal())");
  }
  void until_archiving_fails() {
    server().wait_for(
        "last_failed_time > coalesce(last_archived_time, '-infinity') from "
        "pg_stat_archiver");
  }
  void until_all_is_archived() {
    server().wait_for(
        "not exists (select from pg_ls_archive_statusdir() where name like "
        "'%.ready')");
    server().wait_for(
        "last_archived_time > coalesce(last_failed_time, '-infinity') from "
        "pg_stat_archiver");
  }

 private:
  std::optional<Observed> observed_;
};

TEST_F(Doctor, FindsWhyNothingIsArchived) {
  observed(impatient()).holdfast().backup();
  EXPECT_EQ(found(), kNothing);

  const fs::path repository = observed().holdfast().repository_folder();
  Observed::move_away(repository);
  end_segment();
  until_archiving_fails();
  const Answer away = ask_for(Codes{"storage_missing"});
  EXPECT_EQ(Observed::codes(away, "findings"), Codes{"storage_missing"}) << away.text();
  const Json cause = Observed::find(away, "storage_missing");
  EXPECT_THAT(cause.at("explains").dump(), HasSubstr("archive_command fails")) << away.text();
  const Json archiving = observed().run({"status"}).result().at("archiving");
  EXPECT_EQ(archiving.at("failing"), true);
  EXPECT_THAT(archiving.at("message").dump(), HasSubstr("does not exist")) << archiving.dump(1);
  Observed::bring_back(repository);
  until_all_is_archived();
  EXPECT_EQ(found(), kNothing);

  // A mistake in what PostgreSQL runs, which no repository knows of.
  const std::string ours = server().sql("show archive_command");
  observed().set("archive_command", "/bin/false");
  end_segment();
  until_archiving_fails();
  const Answer foreign = ask_for(Codes{"archive_setting"});
  EXPECT_EQ(Observed::codes(foreign, "findings"), Codes{"archive_setting"}) << foreign.text();
  observed().set("archive_command", ours);
  until_all_is_archived();
  EXPECT_EQ(found(), kNothing);

  server().sql("alter system set archive_mode = off");
  server().stop();
  server().start();
  EXPECT_EQ(Observed::codes(ask_for(Codes{"archiving_off"}), "findings"), Codes{"archiving_off"});
}

TEST_F(Doctor, FindsAGapAndThatABackupEndsIt) {
  observed().holdfast().backup();
  const std::string lost = end_segment();
  observed().archived().archive();
  fs::remove(observed().archived().object_of(lost));
  const Answer gap = ask_for(Codes{"wal_gap"});
  EXPECT_EQ(Observed::codes(gap, "findings"), Codes{"wal_gap"}) << gap.text();
  EXPECT_THAT(Observed::find(gap, "wal_gap").at("title").dump(), HasSubstr(lost));
  EXPECT_EQ(observed().plain({"status", "--nagios"}).exit_code, 2);
  observed().holdfast().backup();
  const Answer after = ask_for(kNothing);
  EXPECT_EQ(Observed::codes(after, "findings"), kNothing) << after.text();
  EXPECT_EQ(Observed::find(after, "wal_gap").at("severity"), "notice");
}

TEST_F(Doctor, FindsABackupThatDiedAndRetentionThatDoesNotRun) {
  HoldfastProgram& holdfast = observed().holdfast();
  holdfast.settings().repository_lines = {"    retention: {keep_last: 1}"};
  holdfast.run({"backup"}, {{"HOLDFAST_FAULT_POINT", "backup.before_commit:kill"}});
  // The server notices that its client is gone.
  server().wait_for("not exists (select from pg_locks where locktype = 'advisory')");
  const Answer died = ask_for(Codes{"backup_failed"});
  EXPECT_EQ(Observed::codes(died, "findings"), Codes{"backup_failed"}) << died.text();
  for (int i = 0; i < 5; ++i) holdfast.backup();
  const Answer many = ask_for(Codes{"retention_not_running"});
  EXPECT_EQ(Observed::codes(many, "findings"), Codes{"retention_not_running"}) << many.text();
  holdfast.must({"expire", "--yes"});
  EXPECT_EQ(found(), kNothing);
}

TEST_F(Doctor, FindsAServerThatIsAwayADamagedBackupAndACopyThatNobodyTookOver) {
  HoldfastProgram& holdfast = observed().holdfast();
  holdfast.backup();
  server().stop();
  const Answer away = ask();
  EXPECT_EQ(Observed::find(away, "postgres_unreachable").at("severity"), "critical") << away.text();
  server().start();
  EXPECT_EQ(found(), kNothing);

  const fs::path target = holdfast.new_path();
  holdfast.restore(target);
  {
    PostgresCluster copy = start_recovered(target);
    holdfast.other_connection = copy.connection();
    holdfast.other_data_directory = copy.data_directory();
    const Answer restored = ask_for(Codes{"restored_copy"});
    EXPECT_EQ(Observed::codes(restored, "findings"), Codes{"restored_copy"}) << restored.text();
    EXPECT_THAT(Observed::find(restored, "restored_copy").at("remedy").dump(),
                HasSubstr("init --take-over"));
    copy.stop();
  }
  holdfast.other_connection.reset();
  holdfast.other_data_directory.reset();
  EXPECT_EQ(found(), kNothing);

  const std::string newest = holdfast.backup({"--type", "full"}).at("id");
  for (const auto& entry : fs::recursive_directory_iterator(holdfast.repository_folder())) {
    const fs::path folder = entry.path().parent_path();
    if (folder.filename() != "pack" || folder.string().find(newest) == std::string::npos) continue;
    std::string content = read_text(entry.path());
    content[content.size() / 2] ^= 1;
    write_text(entry.path(), content);
    give_to_server_user(entry.path());
  }
  EXPECT_EQ(holdfast.run({"verify", "latest"}).outcome.exit_code, 1);
  const Answer damaged = ask();
  EXPECT_NE(Observed::find(damaged, "backup_damaged"), nullptr) << damaged.text();
}

TEST_F(Doctor, FindsACanaryThatFellSilent) {
  observed({.program = {.lines = {"canary: {interval: 5s}"}}}).holdfast().backup();
  const Codes silent{"canary_silent"};
  EXPECT_EQ(Observed::codes(ask_for(silent), "findings"), silent) << "it never wrote";
  observed().holdfast().must({"canary", "--once"});
  EXPECT_EQ(found(), kNothing);
  server().sql("update holdfast.canary set written = written - interval '6 min'");
  EXPECT_EQ(Observed::codes(ask_for(silent), "findings"), silent);
}

TEST_F(Doctor, KnowsOfADrillFromItsReportAndFromItsProof) {
  HoldfastProgram& holdfast = observed().holdfast();
  holdfast.backup();
  EXPECT_EQ(Observed::find(ask(), "drill_overdue").at("severity"), "notice");
  holdfast.must({"drill"},
                {{"HOLDFAST_POSTGRES_BIN_DIRECTORY", server().programs().bin_directory.string()}});
  EXPECT_EQ(Observed::find(ask(), "drill_overdue"), nullptr);
  fs::remove_all(holdfast.state_directory() / "drills");
  const Answer proven = observed().run({"status"});
  EXPECT_EQ(proven.result().at("drill").at("passed"), true) << proven.text();
}

TEST_F(Doctor, SaysWhyAStandbyIsBehind) {
  observed().holdfast().backup();
  PostgresCluster standby = PostgresCluster::standby_of(server());
  standby.start();
  standby.wait_for("exists (select from pg_stat_wal_receiver where status = 'streaming')");
  HoldfastProgram& holdfast = observed().holdfast();
  holdfast.other_connection = standby.connection();
  holdfast.other_data_directory = standby.data_directory();
  const Answer status = observed().run({"status"});
  EXPECT_EQ(status.result().at("postgres").at("role"), "standby") << status.text();
  EXPECT_TRUE(status.result().at("postgres").at("replay_behind_bytes").is_number());

  standby.sql("select pg_wal_replay_pause()");
  server().sql(
      "select count(pg_logical_emit_message(false, 'x', repeat('x', 1 << 20))) "
      "from generate_series(1, 24)");
  standby.wait_for(
      "pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) > "
      "20 << 20");
  const Answer behind = ask_for(Codes{"slow_replay"});
  EXPECT_EQ(Observed::codes(behind, "findings"), Codes{"slow_replay"}) << behind.text();
  EXPECT_THAT(Observed::find(behind, "slow_replay").at("remedy").dump(),
              HasSubstr("pg_wal_replay_resume"));
}

TEST_F(Doctor, FindsAWrongKey) {
  observed({.program = {.encryption = Encryption::kKeyFile}}).holdfast().backup();
  const fs::path key = observed().holdfast().key_file();
  std::string other = read_text(key);
  // Another digit of the key.
  const std::size_t digit = other.find_last_of("0123456789abcdef");
  other[digit] = other[digit] == '0' ? '1' : '0';
  write_text(key, other);
  const Answer answer = ask_for(Codes{"wrong_key"});
  EXPECT_EQ(answer.outcome.exit_code, 1);
  EXPECT_EQ(Observed::codes(answer, "findings"), Codes{"wrong_key"}) << answer.text();
}

TEST_F(Doctor, TellsDeniedFromWrongCredentials) {
  if (const auto reason = S3Server::why_unavailable()) GTEST_SKIP() << *reason;
  S3Server s3;
  s3.create_bucket("ops");
  observed({.program = {.url = "s3://ops", .s3 = &s3}}).holdfast().backup();
  EXPECT_EQ(found(), kNothing);

  s3.set_policy("ops", R"({"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*",
    "Action":["s3:PutObject"],"Resource":["arn:aws:s3:::ops","arn:aws:s3:::ops/*"]}]})");
  const Answer denied = ask_for(Codes{"storage_denied"});
  EXPECT_EQ(Observed::codes(denied, "findings"), Codes{"storage_denied"}) << denied.text();
  const fs::path secret = observed().holdfast().folder() / "secret";
  write_text(secret, "not-the-secret\n");
  fs::permissions(secret, fs::perms::owner_read | fs::perms::owner_write);
  give_to_server_user(secret);
  const Answer wrong = ask_for(Codes{"wrong_credentials"});
  EXPECT_EQ(Observed::codes(wrong, "findings"), Codes{"wrong_credentials"}) << wrong.text();
}

}  // namespace
}  // namespace holdfast::test
