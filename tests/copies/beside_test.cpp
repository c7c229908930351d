// One command stopped in its middle, and others beside it (docs/locking.md): what each of them does
// then, and that everything is whole when the first one has gone on.
#include <csignal>

#include <gtest/gtest.h>

#include "repository/wal_mark.h"
#include "seal/key_slot.h"
#include "storage/folder_store.h"
#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

constexpr std::chrono::seconds kPatience{60};

// A cluster with a full backup and two incremental ones, which archives, and a second repository.
class Beside : public testing::Test {
 protected:
  explicit Beside(Encryption encryption = Encryption::kNone)
      : archived_({.program = {.encryption = encryption}}) {
    fs::permissions(folder_.path(), fs::perms::all);
    retain("");
    holdfast().must({"--repo", "second", "init"});
    server().sql("create table numbers (n int, filler text)");
    for (int i = 0; i < 3; ++i) {
      rows(i == 0 ? 20000 : 500);
      ids_.push_back(holdfast().backup().at("id"));
      archived_.archive();
    }
  }
  PostgresCluster& server() { return archived_.server(); }
  HoldfastProgram& holdfast() { return archived_.holdfast(); }

  // Of the first repository.
  void retain(const std::string& retention) {
    holdfast().settings().repository_lines = {
        "    retention: {" + retention + "}", "  - name: second",
        "    url: file://" + (folder_ / "second").string(), "    wal: false"};
  }
  void rows(int count) {
    server().sql("insert into numbers select g, md5(g::text) from generate_series(1, " +
                 std::to_string(count) + ") g");
    rows_ += count;
  }
  // Returns when it has stopped at that point; nothing when it never came there.
  std::optional<Process> stopped_at(const std::string& point, const Words& words) {
    Process process = holdfast().start(words, {{"HOLDFAST_FAULT_POINT", point + ":stop"}});
    try {
      wait_until_stopped(process);
    } catch (const std::runtime_error&) {
      EXPECT_TRUE(process.wait(kPatience).ok()) << process.err();
      return std::nullopt;
    }
    return process;
  }
  static Answer go_on(Process& process) {
    process.send(SIGCONT);
    return HoldfastProgram::answer_of(process.wait(kPatience));
  }
  void must_refuse(const Words& words) {
    const Answer answer = holdfast().run(words);
    EXPECT_EQ(answer.outcome.exit_code, 3) << answer.text();
  }
  Words complete(const std::string& repository = "first") {
    Words ids;
    for (const Json& backup : holdfast().listed({"--repo", repository})) {
      if (backup.at("state") == "complete") ids.push_back(backup.at("id"));
    }
    return ids;
  }
  std::string rows_restored(const Words& more) {
    const fs::path target = holdfast().new_path();
    holdfast().restore(target, more);
    PostgresCluster restored = start_recovered(target);
    std::string count = restored.sql("select count(*) from numbers");
    restored.stop();
    return count;
  }

  TempFolder folder_;
  ArchivedCluster archived_;
  Words ids_;
  int rows_ = 0;
};

class BesideExpire : public Beside, public testing::WithParamInterface<std::string> {};

TEST_P(BesideExpire, EverythingElseWorks) {
  retain("keep_last: 1, grace: 0");
  std::optional<Process> expire;
  for (int run = 0; run < 4 && !expire; ++run) {
    expire = stopped_at(GetParam(), {"expire", "--yes"});
  }
  ASSERT_TRUE(expire) << "never came to " << GetParam();
  const bool marked_only = GetParam() == "expire.marked";

  EXPECT_EQ(complete().back(), ids_.back());
  EXPECT_TRUE(holdfast().run({"window"}).ok());
  EXPECT_TRUE(holdfast().run({"status"}).document.is_object());
  EXPECT_EQ(rows_restored({}), std::to_string(rows_));
  rows(300);
  const std::string newest = holdfast().backup().at("id");
  archived_.archive();
  holdfast().must({"copy", newest, "--to", "second"});
  holdfast().must({"verify", newest});
  EXPECT_FALSE(holdfast().run({"restore", ids_[0], "--to", holdfast().new_path().string()}).ok());
  const Answer held =
      holdfast().run({"hold", ids_[0], "--until", "2999-01-01", "--reason", "needed"});
  EXPECT_EQ(held.ok(), marked_only) << held.text();
  const Answer other = holdfast().run({"expire", "--yes"});
  EXPECT_TRUE(other.ok()) << other.text();

  const Answer first = go_on(*expire);
  EXPECT_TRUE(first.ok()) << first.text();
  for (int run = 0; run < 3; ++run) holdfast().must({"expire", "--yes"});
  EXPECT_EQ(complete(), marked_only ? (Words{ids_[0], newest}) : Words{newest});
  for (const std::string repository : {"first", "second"}) {
    const Answer verified = holdfast().run({"--repo", repository, "verify", "--all", "--deep"});
    EXPECT_TRUE(verified.ok()) << verified.text();
  }
  EXPECT_EQ(rows_restored({}), std::to_string(rows_));
}

INSTANTIATE_TEST_SUITE_P(Point, BesideExpire,
                         testing::Values("expire.marked", "expire.deleting",
                                         "expire.outcome_removed", "expire.objects_removed",
                                         "expire.wal_marked", "expire.wal_removed"),
                         [](const auto& given) {
                           std::string name = given.param;
                           std::ranges::replace(name, '.', '_');
                           return name;
                         });

class BesideDeletion : public Beside {
 protected:
  // Restores the first backup, of which `expire` removes what it may meanwhile.
  Answer restore_to(const fs::path& target) {
    holdfast().backup({"--type", "full"});
    auto restore = stopped_at("restore.marker_written",
                              {"restore", ids_[0], "--to", target.string(), "--target-immediate"});
    for (const std::string& id : ids_) holdfast().must({"delete", id, "--yes"});
    for (int run = 0; run < 3; ++run) holdfast().must({"expire", "--yes"});
    return go_on(restore.value());
  }
};

TEST_F(BesideDeletion, ARestoreIsFinishedInTheGracePeriod) {
  retain("grace: 1h");
  const fs::path target = holdfast().new_path();
  const Answer answer = restore_to(target);
  EXPECT_TRUE(answer.ok()) << answer.text();
  EXPECT_TRUE(fs::exists(target / "global/pg_control"));
}

// It ends with an error that names what is gone, and with nothing that could be taken for a
// database.
TEST_F(BesideDeletion, ARestoreFailsWhereNoGraceIsGiven) {
  retain("grace: 0");
  const fs::path target = holdfast().new_path();
  const Answer answer = restore_to(target);
  EXPECT_EQ(answer.outcome.exit_code, 1) << answer.text();
  EXPECT_NE(answer.error().find(ids_[0]), std::string::npos) << answer.error();
  EXPECT_FALSE(fs::exists(target / "global/pg_control"));
}

TEST_F(Beside, ACopyOfWhatIsDeletedCommitsNothing) {
  holdfast().backup({"--type", "full"});
  retain("grace: 0");
  auto copy = stopped_at("copy.begun", {"copy", ids_[0], "--to", "second"});
  ASSERT_TRUE(copy);
  for (const std::string& id : ids_) holdfast().must({"delete", id, "--yes"});
  for (int run = 0; run < 3; ++run) holdfast().must({"expire", "--yes"});
  const Answer answer = go_on(*copy);
  EXPECT_EQ(answer.outcome.exit_code, 1) << answer.text();
  EXPECT_EQ(complete("second"), Words{});
}

TEST_F(Beside, ASecondRestoreIntoTheSameTargetIsRefused) {
  const fs::path target = holdfast().new_path();
  const Words words{"restore", "--to", target.string(), "--target-immediate"};
  auto first = stopped_at("restore.marker_written", words);
  ASSERT_TRUE(first);
  must_refuse(words);
  EXPECT_EQ(rows_restored({}), std::to_string(rows_)) << "into another target";
  const Answer answer = go_on(*first);
  EXPECT_TRUE(answer.ok()) << answer.text();
  must_refuse(words);  // it is complete
}

// It has said that it builds on the newest one, and has not asked yet whether that one goes.
TEST_F(Beside, ABackupWhoseParentIsDeletedBeforeItAsksTakesAnother) {
  retain("grace: 0");
  rows(300);
  auto backup = stopped_at("backup.intent_written", {"backup"});
  ASSERT_TRUE(backup);
  holdfast().must({"delete", ids_.back(), "--yes"});
  for (int run = 0; run < 3; ++run) holdfast().must({"expire", "--yes"});
  const Answer answer = go_on(*backup);
  ASSERT_TRUE(answer.ok()) << answer.text();
  EXPECT_EQ(answer.result().at("incremental").at("parent"), ids_[1]);
  EXPECT_NE(answer.document.at("warnings").dump().find("it is going to be deleted"),
            std::string::npos);
  archived_.archive();
  for (int run = 0; run < 3; ++run) holdfast().must({"expire", "--yes"});
  EXPECT_EQ(complete(), (Words{ids_[0], ids_[1], answer.result().at("id")}));
  holdfast().must({"verify", "--all", "--deep"});
  EXPECT_EQ(rows_restored({}), std::to_string(rows_));
}

// That lies in front of what the target needs, and was marked there before it came.
TEST_F(Beside, ACopyThatNeedsExpiredWalBringsItsOwn) {
  const auto in_second = [&](const std::string& retention) {
    retain("");
    auto& lines = holdfast().settings().repository_lines;
    lines.push_back("    retention: {" + retention + "}");
    for (int run = 0; run < 4; ++run) holdfast().must({"--repo", "second", "expire", "--yes"});
  };
  holdfast().must({"copy", ids_[1], "--to", "second"});
  holdfast().must({"copy", ids_[2], "--to", "second"});
  in_second("keep_last: 1, grace: 0");
  EXPECT_EQ(complete("second"), Words{ids_[2]});
  const Answer planned = holdfast().run({"copy", ids_[0], "--to", "second", "--dry-run"});
  EXPECT_EQ(planned.result().at("backups")[0].at("form"), "standalone") << planned.text();
  const Answer copied = holdfast().run({"copy", ids_[0], "--to", "second"});
  ASSERT_TRUE(copied.ok()) << copied.text();
  EXPECT_EQ(copied.result().at("backups")[0].at("form"), "standalone");
  EXPECT_NE(copied.document.at("warnings").dump().find("WAL that backup"), std::string::npos);
  in_second("keep_last: 2, grace: 0");
  EXPECT_EQ(complete("second"), (Words{ids_[0], ids_[2]}));
  holdfast().must({"--repo", "second", "verify", "--all", "--deep"});
  fs::remove_all(holdfast().repository_folder());
  EXPECT_EQ(rows_restored({"--repo", "second", ids_[0], "--target-immediate"}), "20000");
}

// A server that lies far behind the others of its history would begin in such WAL.
TEST_F(Beside, ABackupThatNeedsWalThatIsGoingIsRefused) {
  rows(300);
  auto backup = stopped_at("backup.files_read", {"backup"});
  ASSERT_TRUE(backup);
  const std::string history = holdfast().must({"show", "latest"}).at("history");
  const auto repository =
      Repository::open(make_folder_store(holdfast().repository_folder()), std::nullopt, {});
  ASSERT_TRUE(write_wal_mark(*repository, {"demo", parse_history_name(history).value()}, 1,
                             {{0, kSegmentNumberMax}}, {}));
  const Answer answer = go_on(*backup);
  EXPECT_EQ(answer.outcome.exit_code, 3) << answer.text();
  EXPECT_NE(answer.error().find("--standalone"), std::string::npos) << answer.error();
  EXPECT_EQ(complete(), ids_);
  const std::string alone = holdfast().must({"backup", "--standalone"}).at("id");
  EXPECT_EQ(complete().back(), alone);
  EXPECT_EQ(rows_restored({alone, "--target-immediate"}), std::to_string(rows_));
}

class BesideBackup : public Beside {
 protected:
  BesideBackup() : Beside(Encryption::kKeyFile) {}
};

TEST_F(BesideBackup, KeysChangeAndReadersSeeWhatIsCommitted) {
  rows(200);
  auto backup = stopped_at("backup.files_read", {"backup"});
  ASSERT_TRUE(backup);
  EXPECT_EQ(complete(), ids_);
  EXPECT_EQ(holdfast().must({"show", "latest"}).at("id"), ids_.back());
  holdfast().must({"init"});
  must_refuse({"--repo", "second", "backup"});
  holdfast().must({"verify", "--all"});
  EXPECT_EQ(rows_restored({ids_.back(), "--target-immediate"}), std::to_string(rows_ - 200));

  const std::string old_slot = holdfast().must({"key", "list"}).at("slots").at(0).at("id");
  const fs::path new_key = holdfast().folder() / "new-key";
  write_text(new_key, format_key_file(Secret::random()));
  give_to_server_user(new_key);
  fs::permissions(new_key, fs::perms::owner_read | fs::perms::owner_write);
  holdfast().must({"key", "add", "--key-file", new_key.string()});
  fs::rename(new_key, holdfast().key_file());
  holdfast().must({"key", "remove", old_slot, "--yes"});

  const Answer answer = go_on(*backup);
  ASSERT_TRUE(answer.ok()) << answer.text();
  EXPECT_EQ(complete().back(), answer.result().at("id"));
  EXPECT_EQ(rows_restored({}), std::to_string(rows_));
}

}  // namespace
}  // namespace holdfast::test
