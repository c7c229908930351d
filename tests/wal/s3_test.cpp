// WAL in a repository on a real S3 server: archived, recovered, failed over, and what is never
// taken for absence there.
#include <chrono>
#include <csignal>
#include <regex>
#include <set>
#include <thread>

#include <gmock/gmock.h>

#include "on_s3.h"
#include "seal/key_slot.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

constexpr int kRestored = 0, kAbsent = 1, kUnknown = 255;

TEST_F(WalOnS3, IsRecoveredToATimeAndToTheEndWhateverTheNetworkDoes) {
  // Answers are lost after the object was stored, requests before; some take their time.
  const Variable faults("HOLDFAST_STORE_FAULTS",
                        "put@/wal/%25=lost,put%10=fail,get%10=fail,get_range%10=fail,head%10=fail,"
                        "list%10=fail,any%10=delay:100,seed=7");
  begin();
  keep(1);
  const std::string time = server().sql("select clock_timestamp()");
  for (int n = 2; n <= 5; ++n) keep_in_a_segment(n);
  EXPECT_EQ(server().sql("select failed_count from pg_stat_archiver"), "0");
  EXPECT_EQ(rows_after({"--target-time", time}), "1");
  EXPECT_EQ(rows_after({}), "1 2 3 4 5");
}

TEST_F(WalOnS3, FailoverNeedsNoStepAndACopyTakesOver) {
  begin();
  PostgresCluster standby = PostgresCluster::standby_of(server());
  standby.start();
  keep(1);
  const std::string at = server().sql("select pg_current_wal_lsn()");
  standby.wait_for(fmt::format("pg_last_wal_replay_lsn() >= '{}'", at));
  server().kill();
  standby.promote();
  standby.sql("insert into kept values (2)");
  standby.sql("select pg_switch_wal()");
  standby.wait_for(
      "(select last_archived_wal like '00000002%' and last_archived_wal not like "
      "'%history' from pg_stat_archiver)");
  holdfast().other_connection = standby.connection();
  holdfast().other_data_directory = standby.data_directory();
  const fs::path target = holdfast().new_path();
  holdfast().restore(target, {"--archive", "on"});
  standby.stop();
  PostgresCluster copy = start_recovered(target);
  EXPECT_EQ(copy.sql("select string_agg(n::text, ' ' order by n) from kept"), "1 2");
  holdfast().other_connection = copy.connection();
  holdfast().other_data_directory = target;
  copy.sql("insert into kept values (3)");
  EXPECT_EQ(holdfast().must({"init", "--take-over"}).at("history").get<std::string>().substr(0, 5),
            "0002-");
  const std::string last = copy.sql("select pg_walfile_name(pg_switch_wal())");
  copy.wait_for(fmt::format("(select last_archived_wal >= '{}' from pg_stat_archiver)", last));
  copy.stop();
  EXPECT_EQ(rows_after({}), "1 2 3");
}

TEST_F(WalOnS3, AbsenceHasToBeProven) {
  ArchivedCluster& archived = begin();
  const std::string first = keep_in_a_segment(1);
  const std::string second = keep_in_a_segment(2);
  const std::string absent = "0000000100000000000000F0";
  EXPECT_EQ(archived.get(second).exit_code, kRestored);
  EXPECT_TRUE(read_text(server().data_directory() / "pg_wal/RECOVERYXLOG") ==
              read_text(server().data_directory() / "pg_wal" / second));
  EXPECT_EQ(archived.get(absent).exit_code, kAbsent);

  const std::string object = object_of(first);
  const auto content = store()->get(object, {});
  ASSERT_TRUE(content);
  store()->remove(object, {});
  const Outcome gap = archived.get(first);
  EXPECT_EQ(gap.exit_code, kUnknown);
  EXPECT_NE(gap.err.find("gap"), std::string::npos) << gap.err;
  store()->put(object, *content, {}, {});
  EXPECT_EQ(archived.get(first).exit_code, kRestored);
}

TEST_F(WalOnS3, WhatMayNotBeReadOrListedIsUnknown) {
  ArchivedCluster& archived = begin();
  const std::string there = keep_in_a_segment(1);
  const std::string absent = "0000000100000000000000F0";
  const Variable soon("HOLDFAST_WAL_TIMEOUT", "2s");
  deny(R"("s3:GetObject")");
  EXPECT_EQ(archived.get(there).exit_code, kUnknown);
  EXPECT_EQ(archived.get(absent).exit_code, kUnknown);
  deny(R"("s3:ListBucket")");  // then S3 says 403 of what is not there
  EXPECT_EQ(archived.get(absent).exit_code, kUnknown);
  // What may not be written is not acknowledged, and goes on when it may.
  deny(R"("s3:PutObject")");
  EXPECT_EQ(archived.get(absent).exit_code, kAbsent);
  keep(2);
  server().sql("select pg_switch_wal()");
  server().wait_for("(select failed_count > 0 from pg_stat_archiver)");
  deny(R"("s3:PutBucketTagging")");
  keep_in_a_segment(3);
  EXPECT_EQ(rows_after({}), "1 2 3");
}

TEST_F(WalOnS3, AWrongSecretAWrongKeyOrAMissingBucketIsUnknown) {
  ArchivedCluster& archived = begin();
  const std::string absent = "0000000100000000000000F0";
  const std::string there = keep_in_a_segment(1);
  const Variable soon("HOLDFAST_WAL_TIMEOUT", "2s");
  const fs::path secret = holdfast().folder() / "secret";
  const std::string good = read_text(secret);
  write_text(secret, std::string(good.size(), 'x'));
  EXPECT_EQ(archived.get(absent).exit_code, kUnknown);
  const int push = archived.push(there).exit_code;
  EXPECT_GT(push, 0);
  EXPECT_LE(push, 125);
  write_text(secret, good);
  EXPECT_EQ(archived.get(absent).exit_code, kAbsent);

  const std::string key = read_text(holdfast().key_file());
  write_text(holdfast().key_file(), format_key_file(Secret::random()));
  for (const std::string& file : {there, absent}) {
    const Outcome got = archived.get(file);
    EXPECT_EQ(got.exit_code, kUnknown) << file;
    EXPECT_NE(got.err.find("key"), std::string::npos) << got.err;
  }
  EXPECT_EQ(archived.push(there).exit_code, 2);
  write_text(holdfast().key_file(), key);
  EXPECT_EQ(archived.get(there).exit_code, kRestored);

  holdfast().settings().url = "s3://" + bucket_ + "-is-not-there";
  holdfast().run({"version"});  // writes the configuration
  EXPECT_EQ(archived.get(absent).exit_code, kUnknown);
}

// By what the loader says with LD_DEBUG=files.
std::set<std::string> loaded(const Outcome& call) {
  std::set<std::string> names;
  const std::regex line("file=(\\S+) \\[0\\];  generating link map");
  for (auto at = std::sregex_iterator(call.err.begin(), call.err.end(), line);
       at != std::sregex_iterator(); ++at) {
    names.insert((*at)[1]);
  }
  return names;
}

// PostgreSQL calls once a segment: loading libcurl and libpq takes longer than all the rest.
TEST_F(WalOnS3, AYoungNoteIsBelievedWithoutTheLibrariesOfTheNetwork) {
  ArchivedCluster& archived = begin();
  keep_in_a_segment(1);
  server().sql("alter system set archive_command = '/bin/false'");
  server().sql("select pg_reload_conf()");
  server().wait_for("current_setting('archive_command') = '/bin/false'");
  const std::string first = next_segment(), noted = next_segment();
  ASSERT_EQ(archived.push(first).exit_code, 0);  // its helper looks ahead at the other
  const fs::path note = holdfast().state_directory() / "wal" / "push" / (noted + ".stored");
  for (int i = 0; i < 6000 && !fs::exists(note); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  fs::last_write_time(note, fs::file_time_type::clock::now());  // young, however slow this machine
  const Variable trace("LD_DEBUG", "files");
  const Outcome push = archived.push(noted);
  EXPECT_EQ(push.exit_code, 0);
  EXPECT_THAT(loaded(push), testing::Contains("libcrypto.so.3"));
  EXPECT_THAT(loaded(push), testing::Not(testing::Contains("libcurl.so.4")));
  EXPECT_THAT(loaded(push), testing::Not(testing::Contains("libpq.so.5")));
  const Outcome list = archived.call({"list"}, server().data_directory());
  EXPECT_THAT(loaded(list), testing::Contains("libcurl.so.4")) << "it asks the store";
}

TEST_F(WalOnS3, AGetThatHangsEndsBySigterm) {
  ArchivedCluster& archived = begin();
  const std::string there = keep_in_a_segment(1);
  const Variable faults("HOLDFAST_STORE_FAULTS", "any=delay:600000");
  Process call =
      archived.start({"archive-get", there, "pg_wal/RECOVERYXLOG"}, server().data_directory());
  std::this_thread::sleep_for(std::chrono::seconds(2));
  ASSERT_TRUE(call.running());
  call.send(SIGTERM);
  EXPECT_EQ(call.wait(std::chrono::minutes(1)).signal, SIGTERM);
}

}  // namespace
}  // namespace holdfast::test
