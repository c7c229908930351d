// Backups of a running server, copied on from repository to repository; then every repository but
// the last is destroyed, and what is restored from that one is compared and started.
#include <thread>

#include <fmt/format.h>

#include "suite.h"
#include "support/damage.h"
#include "support/peak_memory.h"
#include "support/s3_server.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

struct Way {
  std::string name;
  Place first, second, third;
};
void PrintTo(const Way& way, std::ostream* out) {
  *out << way.name;
}

class CopiedOn : public testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    if (!GetParam().first.on_s3) return;
    if (const auto reason = S3Server::why_unavailable()) GTEST_SKIP() << *reason;
  }
  CopyingCluster copying_{GetParam().first, {GetParam().second, GetParam().third}};
};

std::string count_rows(PostgresCluster& cluster) {
  return cluster.sql("select count(*) from numbers");
}

// Also what was archived behind the last backup comes along with --wal, and is replayed.
TEST_P(CopiedOn, RestoresFromTheLastAsFromTheFirst) {
  HoldfastProgram& holdfast = copying_.holdfast();
  copying_.write_rows(20000);
  const Json full = holdfast.backup({"--type", "full"});
  copying_.write_rows(500);
  const Json second = holdfast.backup();
  const std::string id = second.at("id");
  const fs::path original = holdfast.new_path("original");
  holdfast.restore(original, {id, "--target-immediate"});
  copying_.write_rows(77);
  copying_.archived().archive();

  const Json copied = holdfast.must({"copy", "--all", "--to", "second", "--wal", "--verify"});
  EXPECT_EQ(copied.at("backups").size(), 2U);
  EXPECT_EQ(copied.at("damaged_objects"), 0);
  copying_.destroy("first");
  const std::vector<std::string> on{"copy", "latest", "--from", "second", "--to", "third", "--wal"};
  auto preview = on;
  preview.emplace_back("--dry-run");
  const Json planned = holdfast.must(preview).at("backups")[0];
  const Json done = holdfast.must(on).at("backups")[0];
  for (const auto& [missing, copied_on] : {std::pair("packs_missing", "packs_copied"),
                                           {"bytes_missing", "bytes_copied"},
                                           {"wal_files_missing", "wal_files_copied"}}) {
    EXPECT_EQ(planned.at(missing), done.at(copied_on)) << missing;
    EXPECT_GT(planned.at(missing), 0) << missing;
  }
  const Json again = holdfast.must(preview).at("backups")[0];
  EXPECT_EQ(again.at("state"), "there already");
  EXPECT_EQ(again.at("wal_files_missing"), 0);
  EXPECT_EQ(again.at("wal_files_there"), done.at("wal_files_copied"));
  copying_.destroy("second");

  copying_.only("third");
  const auto listed = holdfast.listed();
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_EQ(listed[0].at("id"), id);
  EXPECT_EQ(listed[0].at("copied_from").at("repository"), "second");
  EXPECT_TRUE(holdfast.run({"verify", id, "--deep"}).ok());
  const fs::path same = holdfast.new_path("same");
  holdfast.restore(same, {id, "--target-immediate"});
  EXPECT_EQ(file_differences(original, same), std::vector<std::string>{});
  const fs::path target = holdfast.new_path("target");
  holdfast.restore(target, {id});
  PostgresCluster restored = start_recovered(target);
  EXPECT_EQ(count_rows(restored), copying_.rows());
  restored.stop();
  EXPECT_EQ(check_page_checksums(restored), "");
}

// No archive is left, and the configuration has none.
TEST_P(CopiedOn, AStandaloneCopyStartsWithoutAnyArchive) {
  HoldfastProgram& holdfast = copying_.holdfast();
  copying_.write_rows(20000);
  holdfast.backup({"--type", "full"});
  copying_.write_rows(500);
  const std::string id = holdfast.backup().at("id");
  const std::string rows = copying_.rows();
  const ClusterContent expected = content_of(copying_.server());
  copying_.write_rows(1);
  const Json copied = holdfast.must({"copy", id, "--to", "second", "--standalone", "--verify"});
  EXPECT_EQ(copied.at("backups")[0].at("form"), "standalone");
  EXPECT_EQ(copied.at("backups")[0].at("wal_files_copied"), 0);
  copying_.destroy("first");
  const Json on = holdfast.must({"copy", id, "--from", "second", "--to", "third"});
  EXPECT_EQ(on.at("backups")[0].at("form"), "standalone");
  copying_.destroy("second");

  copying_.only("third");
  holdfast.settings().repository_lines.push_back("    wal: false");
  EXPECT_EQ(holdfast.listed()[0].at("standalone"), true);
  EXPECT_EQ(holdfast.listed()[0].at("type"), "full");
  EXPECT_TRUE(holdfast.run({"verify", id, "--deep"}).ok());
  const fs::path target = holdfast.new_path("target");
  holdfast.restore(target, {id});
  PostgresCluster restored = start_recovered(target);
  EXPECT_EQ(count_rows(restored), rows);
  EXPECT_EQ(differences(expected, content_of(restored)), std::vector<std::string>{});
  restored.stop();
  EXPECT_EQ(check_page_checksums(restored), "");
}

const Place kFirst{"first"}, kSecond{"second"}, kThird{"third"};
const Place kFirstKey{"first", false, Encryption::kKeyFile},
    kSecondKey{"second", false, Encryption::kKeyFile},
    kThirdKey{"third", false, Encryption::kKeyFile};

INSTANTIATE_TEST_SUITE_P(
    By, CopiedOn,
    testing::Values(Way{"FoldersPlainToKeyToPlain", kFirst, kSecondKey, kThird},
                    Way{"FoldersKeyToOtherKeyToKey", kFirstKey, kSecondKey, kThirdKey},
                    Way{"S3ToFolderToS3",
                        {"first", true, Encryption::kKeyFile},
                        kSecond,
                        {"third", true, Encryption::kKeyFile}}),
    [](const testing::TestParamInfo<Way>& way) { return way.param.name; });

TEST(CopyCommand, SaysWhatIsWrongWithItsArguments) {
  CopyingCluster copying(kFirst, {kSecond});
  HoldfastProgram& holdfast = copying.holdfast();
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"copy", "--to", "second"},
        {"copy", "latest"},
        {"copy", "latest", "--all", "--to", "second"},
        {"copy", "latest", "--to", "first"},
        {"copy", "--all", "--to", "second", "--dry-run", "--verify"}}) {
    const Answer answer = holdfast.run(words);
    EXPECT_EQ(answer.kind(), "usage") << answer.text();
    EXPECT_EQ(answer.outcome.exit_code, 2);
  }
  EXPECT_EQ(holdfast.run({"copy", "latest", "--to", "nowhere"}).outcome.exit_code, 2);
  EXPECT_EQ(holdfast.run({"copy", "latest", "--to", "second"}).kind(), "not_found");
}

const std::string kNowInUtc =
    "select to_char(now() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";

TEST(CopyCommand, TakesWhatEndedSinceATime) {
  CopyingCluster copying(kFirst, {kSecond});
  HoldfastProgram& holdfast = copying.holdfast();
  holdfast.backup({"--type", "full"});
  copying.server().sql("select pg_sleep(1.1)");
  const std::string between = copying.server().sql(kNowInUtc);
  const std::string second = holdfast.backup({"--type", "full"}).at("id");
  const Json preview = holdfast.must({"copy", "--since", between, "--to", "second", "--dry-run"});
  ASSERT_EQ(preview.at("backups").size(), 1U);
  EXPECT_EQ(preview.at("backups")[0].at("id"), second);
  EXPECT_EQ(preview.at("backups")[0].at("state"), "missing");
  const Json copied = holdfast.must({"copy", "--since", between, "--to", "second"});
  ASSERT_EQ(copied.at("backups").size(), 1U);
  EXPECT_EQ(copied.at("backups")[0].at("id"), second);
  EXPECT_EQ(copied.at("backups")[0].at("state"), "copied");
  const Json again = holdfast.must({"copy", second, "--to", "second"});
  EXPECT_EQ(again.at("backups")[0].at("state"), "there already");
  EXPECT_EQ(again.at("backups")[0].at("packs_copied"), 0);
}

// At the least budget, though the packs of the backup alone are more than that.
TEST(CopyCommand, StaysInItsMemory) {
  CopyingCluster copying(kFirst, {kSecondKey, kThird});
  HoldfastProgram& holdfast = copying.holdfast();
  // Random bytes do not compress.
  copying.server().sql(
      "create table still as select g, string_agg(md5((g * 1000 + h)::text), '') from"
      " generate_series(1, 60000) g, generate_series(1, 60) h group by g");
  holdfast.backup({"--type", "full"});
  copying.write_rows(100);
  const Json backup = holdfast.backup();
  std::uintmax_t stored = 0;
  for (const auto& entry : fs::recursive_directory_iterator(copying.folder_of("first"))) {
    if (entry.is_regular_file()) stored += entry.file_size();
  }
  ASSERT_GT(stored, std::uintmax_t{64} << 20U) << "too little to mean anything";
  holdfast.settings().lines.emplace_back("memory: 64MiB");
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"copy", "--all", "--to", "second", "--jobs", "16"},
        {"copy", "latest", "--to", "third", "--standalone", "--jobs", "16"}}) {
    const long peak = peak_kib(holdfast, words);
    EXPECT_GT(peak, 1000) << "nothing was measured";
    EXPECT_LE(peak, 64L << 10U);
  }
}

// Two of them on their way at once, as a person and a timer would start them.
TEST(CopyCommand, TwoAtOnceEndWithOneCopy) {
  CopyingCluster copying(kFirst, {kSecondKey});
  HoldfastProgram& holdfast = copying.holdfast();
  copying.write_rows(20000);
  const std::string id = holdfast.backup({"--type", "full"}).at("id");
  std::vector<Process> both;
  for (int i = 0; i < 2; ++i) both.push_back(holdfast.start({"copy", id, "--to", "second"}));
  for (Process& one : both) {
    const Answer answer = HoldfastProgram::answer_of(one.wait(std::chrono::minutes{2}));
    ASSERT_TRUE(answer.ok()) << answer.text();
    EXPECT_EQ(answer.result().at("backups")[0].at("id"), id);
  }
  EXPECT_EQ(holdfast.listed({"--repo", "second"}).size(), 1U);
  EXPECT_TRUE(holdfast.run({"--repo", "second", "verify", id, "--deep"}).ok());
}

// After a failover nothing but the copy says where its timeline comes from.
TEST(CopyCommand, AStandaloneCopyOfALaterTimelineNeedsNoArchive) {
  CopyingCluster copying(kFirst, {kSecond});
  PostgresCluster& server = copying.server();
  copying.write_rows(1000);
  server.stop();
  write_text(server.data_directory() / "standby.signal", "");
  give_to_server_user(server.data_directory() / "standby.signal");
  server.start();
  server.promote();
  copying.write_rows(500);
  HoldfastProgram& holdfast = copying.holdfast();
  const Json backup = holdfast.backup({"--type", "full"});
  EXPECT_EQ(backup.at("timeline"), 2);
  const std::string id = backup.at("id");
  holdfast.must({"copy", id, "--to", "second", "--standalone"});
  copying.destroy("first");
  copying.only("second");
  holdfast.settings().repository_lines.push_back("    wal: false");
  const fs::path target = holdfast.new_path("target");
  holdfast.restore(target, {id});
  PostgresCluster restored = start_recovered(target);
  EXPECT_EQ(count_rows(restored), copying.rows());
  restored.stop();
}

// PostgreSQL may be gone, and its machine with it.
TEST(CopyCommand, NeedsNoServer) {
  CopyingCluster copying(kFirst, {kSecond});
  copying.write_rows(100);
  copying.holdfast().backup();
  copying.server().stop();
  copying.holdfast().must({"copy", "latest", "--to", "second"});
}

// Found in a review: the first backup that the target's own retention had removed ended the
// command, every time, and no newer one was copied any more.
TEST(CopyCommand, LeavesOutOfManyWhatTheTargetHasRemoved) {
  CopyingCluster copying(kFirst, {kSecond});
  HoldfastProgram& holdfast = copying.holdfast();
  const std::string removed = holdfast.backup({"--type", "full"}).at("id");
  holdfast.backup({"--type", "full"});
  holdfast.must({"copy", "--all", "--to", "second"});
  holdfast.must({"--repo", "second", "delete", removed, "--yes"});
  const std::string newer = holdfast.backup({"--type", "full"}).at("id");
  const Answer answer = holdfast.run({"copy", "--all", "--to", "second"});
  ASSERT_TRUE(answer.ok()) << answer.text();
  EXPECT_NE(answer.document.at("warnings").dump().find(removed), std::string::npos);
  EXPECT_TRUE(holdfast.run({"--repo", "second", "show", newer}).ok());
  EXPECT_EQ(holdfast.run({"copy", removed, "--to", "second"}).outcome.exit_code, 3);
}

// Found in a review: a selection that came to one backup was taken for one that somebody named.
TEST(CopyCommand, LeavesOutOfASelectionWhatTheTargetHasRemoved) {
  CopyingCluster copying(kFirst, {kSecond});
  HoldfastProgram& holdfast = copying.holdfast();
  holdfast.backup({"--type", "full"});
  copying.server().sql("select pg_sleep(1.1)");
  const std::string between = copying.server().sql(kNowInUtc);
  const std::string removed = holdfast.backup({"--type", "full"}).at("id");
  holdfast.must({"copy", "--all", "--to", "second"});
  holdfast.must({"--repo", "second", "delete", removed, "--yes"});
  const Answer answer = holdfast.run({"copy", "--since", between, "--to", "second"});
  ASSERT_TRUE(answer.ok()) << answer.text();
  EXPECT_TRUE(answer.result().at("backups").empty()) << answer.text();
  EXPECT_NE(answer.document.at("warnings").dump().find(removed), std::string::npos);
}

// Found in a review: one damaged commit record in the target ended the command before anything was
// copied.
TEST(CopyCommand, GoesOnWithTheOthersWhereARecordInTheTargetIsDamaged) {
  CopyingCluster copying(kFirst, {kSecond});
  HoldfastProgram& holdfast = copying.holdfast();
  const std::string there = holdfast.backup({"--type", "full"}).at("id");
  holdfast.must({"copy", there, "--to", "second"});
  damage(copying.folder_of("second"), there + "/outcome");
  const std::string newer = holdfast.backup({"--type", "full"}).at("id");
  for (const std::vector<std::string>& more : {std::vector<std::string>{"--dry-run"}, {}}) {
    std::vector<std::string> words{"copy", "--all", "--to", "second"};
    words.insert(words.end(), more.begin(), more.end());
    const Answer answer = holdfast.run(words);
    EXPECT_EQ(answer.outcome.exit_code, 1) << answer.text();
    EXPECT_NE(answer.error().find(there + "/outcome"), std::string::npos) << answer.text();
    ASSERT_EQ(answer.result().at("failed").size(), 1U) << answer.text();
    EXPECT_EQ(answer.result().at("failed")[0].at("id"), there);
    EXPECT_EQ(answer.result().at("backups")[0].at("id"), newer);
  }
  EXPECT_TRUE(holdfast.run({"--repo", "second", "verify", newer}).ok());
}

TEST(CopyCommand, GoesOnWithTheOthersWhereOneIsDamaged) {
  CopyingCluster copying(kFirst, {kSecond});
  HoldfastProgram& holdfast = copying.holdfast();
  const std::string damaged = holdfast.backup({"--type", "full"}).at("id");
  const std::string whole = holdfast.backup({"--type", "full"}).at("id");
  damage(copying.folder_of("first"), damaged + "/pack/000001");
  const Answer answer = holdfast.run({"copy", "--all", "--to", "second"});
  EXPECT_EQ(answer.outcome.exit_code, 1) << answer.text();
  EXPECT_NE(answer.error().find(damaged + "/pack/000001"), std::string::npos) << answer.text();
  ASSERT_EQ(answer.result().at("failed").size(), 1U);
  EXPECT_EQ(answer.result().at("failed")[0].at("id"), damaged);
  EXPECT_EQ(answer.result().at("backups")[0].at("id"), whole);
  const auto listed = holdfast.listed({"--repo", "second"});
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_EQ(listed[0].at("id"), whole);
}

}  // namespace
}  // namespace holdfast::test
