// archive-push and archive-get with what they must refuse, and archive-get's three exit codes.
#include <chrono>
#include <csignal>
#include <thread>

#include <fmt/format.h>
#include <sys/stat.h>

#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

constexpr int kRestored = 0, kAbsent = 1, kUsage = 2, kRefused = 3, kUnknown = 255;

class Archive : public testing::Test {
 protected:
  Archive() {
    server().sql("create table t as select generate_series(1, 1000)");
    archived_.archive();
    server().sql("insert into t select generate_series(1, 1000)");
    archived_.archive();
    last_ = server().sql("select last_archived_wal from pg_stat_archiver");
  }

  PostgresCluster& server() { return archived_.server(); }
  fs::path wal(const std::string& name) { return server().data_directory() / "pg_wal" / name; }
  void give(const fs::path& path) { give_to_server_user(path); }

  ArchivedCluster archived_;
  const std::string first_ = "000000010000000000000001";
  std::string last_;
};

TEST_F(Archive, TheSameFileAgainIsFineAndOtherContentIsRefused) {
  ASSERT_TRUE(fs::exists(wal(last_)));
  EXPECT_EQ(archived_.push(last_).exit_code, 0);
  const std::string stored = read_text(archived_.object_of(last_));
  // One byte differs behind the header.
  std::string other = read_text(wal(last_));
  other[100] = static_cast<char>(other[100] ^ 1);
  write_text(wal(last_), other);
  give(wal(last_));
  const Outcome refused = archived_.push(last_);
  EXPECT_EQ(refused.exit_code, kRefused);
  EXPECT_NE(refused.err.find("init --take-over"), std::string::npos);
  EXPECT_EQ(read_text(archived_.object_of(last_)), stored);
}

TEST_F(Archive, WalOfAnotherClusterPlaceOrSizeIsRefused) {
  const auto push_changed = [&](auto change, const std::string& name) {
    const std::string good = read_text(wal(last_));
    std::string bytes = good;
    change(bytes);
    write_text(wal(name), bytes);
    give(wal(name));
    const Outcome outcome = archived_.push(name);
    fs::remove(wal(name));
    write_text(wal(last_), good);
    return outcome;
  };
  const std::string fresh = "0000000100000000000000F0";
  // The system identifier stands at byte 24, the segment's address at byte 8.
  EXPECT_EQ(
      push_changed([](std::string& b) { b[24] = static_cast<char>(b[24] ^ 1); }, last_).exit_code,
      kRefused);
  EXPECT_EQ(push_changed([](std::string&) {}, fresh).exit_code, kRefused);  // another address
  EXPECT_EQ(push_changed([](std::string& b) { b[4] = 9; }, last_).exit_code, kRefused);  // timeline
  EXPECT_EQ(push_changed([](std::string& b) { b.resize(8192); }, fresh).exit_code, 1);
  EXPECT_EQ(push_changed([](std::string& b) { b.assign(b.size(), 'x'); }, fresh).exit_code, 1);
}

// It would be there for ever, and every recovery reads it.
TEST_F(Archive, ATimelineHistoryThatCannotBeReadIsNotArchived) {
  const std::string name = "00000002.history";
  for (const std::string bad : {"", "# nothing\n", "2\t0/3000000\tits own parent\n",
                                "1\t0/3000000\tfine\n1\t0/4000000\ttwice\n", "1\tnowhere\n"}) {
    write_text(wal(name), bad);
    give(wal(name));
    const Outcome outcome = archived_.push(name);
    EXPECT_EQ(outcome.exit_code, 1) << bad << outcome.err;
    EXPECT_NE(outcome.err.find("timeline history"), std::string::npos) << outcome.err;
  }
  EXPECT_EQ(archived_.get(name).exit_code, kAbsent);
  write_text(wal(name), "1\t0/3000000\tno recovery target specified\n");
  give(wal(name));
  EXPECT_EQ(archived_.push(name).exit_code, 0);
  fs::remove(wal(name));
}

TEST_F(Archive, WrongPathsAreUsageErrors) {
  EXPECT_EQ(archived_.push("000000010000000000000099").exit_code, kUsage);  // no such file
  write_text(wal("notes.txt"), "hello");
  EXPECT_EQ(archived_.push("notes.txt").exit_code, kUsage);
  EXPECT_EQ(archived_.call({"archive-push", "/etc/passwd"}, server().data_directory()).exit_code,
            kUsage);
}

TEST_F(Archive, WhatIsStoredComesBackByteByByte) {
  ASSERT_EQ(archived_.get(last_).exit_code, kRestored);
  EXPECT_TRUE(read_text(wal("RECOVERYXLOG")) == read_text(wal(last_)));
}

TEST_F(Archive, AZeroTailCostsAlmostNothing) {
  EXPECT_LT(fs::file_size(archived_.object_of(last_)), 100'000U);
}

TEST_F(Archive, AbsenceIsOneOnlyWhenItIsProven) {
  EXPECT_EQ(archived_.get("0000000100000000000000F0").exit_code, kAbsent);
  EXPECT_EQ(archived_.get("00000002.history").exit_code, kAbsent);
  // PostgreSQL asks for it when it ends recovery; timeline 1 has none.
  EXPECT_EQ(archived_.get("00000001.history").exit_code, kAbsent);

  // A gap: a later segment is stored.
  const fs::path object = archived_.object_of(first_);
  const fs::path aside = object.parent_path() / "aside";
  fs::rename(object, aside);
  const Outcome gap = archived_.get(first_);
  EXPECT_EQ(gap.exit_code, kUnknown);
  EXPECT_NE(gap.err.find("gap"), std::string::npos);
  EXPECT_NE(gap.err.find(first_), std::string::npos);
  fs::rename(aside, object);
  EXPECT_EQ(archived_.get(first_).exit_code, kRestored);
}

// Found in a review: while the source catches up, both arrive between the two questions.
TEST_F(Archive, WhatIsStoredMeanwhileIsNoGap) {
  const fs::path folder = archived_.object_of(last_).parent_path();
  const fs::path first_aside = folder / "aside", last_aside = folder / "aside-too";
  fs::rename(folder / first_, first_aside);
  fs::rename(folder / last_, last_aside);
  std::optional<Process> get;
  {
    const Variable point("HOLDFAST_FAULT_POINT", "get.absent:stop");
    get.emplace(
        archived_.start({"archive-get", first_, "pg_wal/RECOVERYXLOG"}, server().data_directory()));
  }
  wait_until_stopped(*get);
  fs::rename(first_aside, folder / first_);
  fs::rename(last_aside, folder / last_);
  get->send(SIGCONT);
  const Outcome got = get->wait(std::chrono::seconds(60));
  EXPECT_EQ(got.exit_code, kRestored) << got.err;
}

// Found by an attack: without any WAL the catalogue still knows that there has to be some.
TEST_F(Archive, WalThatABackupNeedsIsAGapAlsoWhenAllOfItIsGone) {
  const Json backup = archived_.holdfast().backup();
  const std::string needed = server().sql(
      fmt::format("select pg_walfile_name('{}')", backup.at("stop_lsn").get<std::string>()));
  fs::path wal_folder = archived_.object_of(first_);
  while (wal_folder.filename() != "wal") wal_folder = wal_folder.parent_path();
  fs::rename(wal_folder, wal_folder.parent_path() / "gone");
  EXPECT_EQ(archived_.get(needed).exit_code, kUnknown);
  EXPECT_EQ(archived_.get("0000000100000000000000F0").exit_code, kAbsent);
}

// Found in a review: as long as any WAL of the timeline was there, its end was believed.
TEST_F(Archive, AnEndBeforeACommittedBackupIsAGap) {
  const Json backup = archived_.holdfast().backup();
  const std::string needed = server().sql(
      fmt::format("select pg_walfile_name('{}')", backup.at("stop_lsn").get<std::string>()));
  archived_.archive();
  const fs::path folder = archived_.object_of(needed).parent_path();
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename() >= needed)
      fs::rename(entry.path(), entry.path().string() + "-gone");
  }
  ASSERT_EQ(archived_.get(last_).exit_code, kRestored);
  const Outcome gap = archived_.get(needed);
  EXPECT_EQ(gap.exit_code, kUnknown) << gap.err;
  EXPECT_NE(gap.err.find("gap"), std::string::npos) << gap.err;
  EXPECT_EQ(archived_.get("0000000100000000000000F0").exit_code, kAbsent);
}

// Found in a review: a call that meets its file in the archive believed the object's head.
TEST_F(Archive, WhatIsStoredAndDamagedIsNotAcknowledged) {
  const fs::path object = archived_.object_of(last_);
  const std::string good = read_text(object);
  std::string bad = good;
  bad[bad.size() - 100] = static_cast<char>(bad[bad.size() - 100] ^ 1);
  fs::permissions(object, fs::perms::owner_all);
  write_text(object, bad);
  give(object);
  const Outcome refused = archived_.push(last_);
  EXPECT_EQ(refused.exit_code, 1) << refused.err;
  EXPECT_NE(refused.err.find("stored already"), std::string::npos) << refused.err;
  fs::rename(object, object.string() + "-bad");
  EXPECT_EQ(archived_.push(last_).exit_code, 0);
  EXPECT_EQ(archived_.get(last_).exit_code, kRestored);
}

// Found in a review: 255 shuts a standby down, and a wrong configuration gave that.
TEST_F(Archive, WithoutAConfigurationAStandbyGoesOnAndNobodyElse) {
  const fs::path folder = archived_.holdfast().new_path("data");
  fs::create_directory(folder);
  give(folder);
  const auto exit = [&](const std::vector<std::string>& words) {
    std::vector<std::string> command{HoldfastProgram::path(), "--config", "/nowhere.yaml"};
    command.insert(command.end(), words.begin(), words.end());
    return run({.arguments = as_server_user(command), .folder = folder}).exit_code;
  };
  const std::vector<std::string> get{"archive-get", last_, "pg_wal/RECOVERYXLOG"};
  EXPECT_EQ(exit(get), kUnknown);
  write_text(folder / "standby.signal", "");
  EXPECT_EQ(exit(get), 1);
  EXPECT_EQ(exit({"archive-get", "--no-such-option"}), 1);
  write_text(folder / "promote", "");
  EXPECT_EQ(exit(get), kUnknown);
}

// docs/archiving.md, "On a standby": the request was under way when the promotion was asked for.
TEST_F(Archive, AtAPromotionUnknownStopsUnlessTheConfigurationSaysOtherwise) {
  const fs::path folder = archived_.holdfast().new_path("data");
  fs::create_directories(folder / "pg_wal");
  for (const char* const name : {"standby.signal", "promote"}) write_text(folder / name, "");
  fs::create_directory(folder / "global");
  fs::copy(server().data_directory() / "global/pg_control", folder / "global");
  for (const auto& entry : fs::recursive_directory_iterator(folder)) give(entry.path());
  give(folder);
  const auto exit = [&](const std::string& setting) {
    archived_.holdfast().settings().lines = {
        "wal: {timeout: 2s, promote_without_archive: " + setting + "}"};
    EXPECT_TRUE(archived_.holdfast().run({"config", "show"}).ok());
    return archived_.call({"archive-get", last_, "pg_wal/RECOVERYXLOG"}, folder).exit_code;
  };
  EXPECT_EQ(exit("true"), kRestored);
  fs::remove(folder / "pg_wal/RECOVERYXLOG");
  const fs::path repository = archived_.holdfast().repository_folder();
  fs::rename(repository, repository.parent_path() / "aside");
  EXPECT_EQ(exit("false"), kUnknown);
  EXPECT_EQ(exit("true"), 1);
  fs::rename(repository.parent_path() / "aside", repository);
}

TEST_F(Archive, WhatCannotBeAskedIsUnknown) {
  const std::string absent = "0000000100000000000000F0";
  const fs::path repository = archived_.holdfast().repository_folder();
  const fs::path aside = repository.parent_path() / "aside";
  const Variable soon("HOLDFAST_WAL_TIMEOUT", "3s");
  fs::rename(repository, aside);
  EXPECT_EQ(archived_.get(absent).exit_code, kUnknown);  // gone
  fs::create_directory(repository);
  give(repository);
  EXPECT_EQ(archived_.get(absent).exit_code, kUnknown);  // an empty folder: not mounted
  fs::remove(repository);
  fs::rename(aside, repository);
  EXPECT_EQ(archived_.get(absent).exit_code, kAbsent);

  fs::permissions(repository, fs::perms::none);
  EXPECT_EQ(archived_.get(absent).exit_code, kUnknown);
  fs::permissions(repository, fs::perms::owner_all);
  EXPECT_EQ(archived_.get(absent).exit_code, kAbsent);
}

// What is away when it is asked may be there a moment later, and is waited for.
TEST_F(Archive, ARepositoryThatComesBackIsWaitedFor) {
  const fs::path repository = archived_.holdfast().repository_folder();
  const fs::path aside = repository.parent_path() / "aside";
  const Variable patient("HOLDFAST_WAL_TIMEOUT", "5min");
  const auto get_while_away = [&] {
    Process call =
        archived_.start({"archive-get", last_, "pg_wal/RECOVERYXLOG"}, server().data_directory());
    std::this_thread::sleep_for(std::chrono::seconds(2));
    EXPECT_TRUE(call.running());
    return call;
  };
  fs::rename(repository, aside);
  Process stopped = get_while_away();
  stopped.send(SIGTERM);
  EXPECT_EQ(stopped.wait(std::chrono::minutes(1)).signal, SIGTERM);
  Process asked = get_while_away();
  fs::rename(aside, repository);
  EXPECT_EQ(asked.wait(std::chrono::minutes(1)).exit_code, kRestored);
  EXPECT_TRUE(read_text(wal("RECOVERYXLOG")) == read_text(wal(last_)));
}

// As on a full disk, a file of this process cannot grow any further.
TEST_F(Archive, WhereNothingFitsNothingIsAcknowledgedOrHandedOut) {
  const auto call_with = [&](const std::string& bytes, std::vector<std::string> arguments) {
    std::vector<std::string> words{"prlimit",
                                   "--fsize=" + bytes,
                                   "env",
                                   "--ignore-signal=XFSZ",
                                   HoldfastProgram::path(),
                                   "--config",
                                   archived_.holdfast().configuration().string()};
    words.insert(words.end(), arguments.begin(), arguments.end());
    return run({.arguments = as_server_user(words), .folder = server().data_directory()});
  };
  const std::vector<std::string> get{"archive-get", last_, "pg_wal/RECOVERYXLOG"};
  EXPECT_EQ(call_with("1000000", get).exit_code, kUnknown);
  EXPECT_FALSE(fs::exists(wal("RECOVERYXLOG")));
  EXPECT_FALSE(fs::exists(wal("RECOVERYXLOG.holdfast")));
  EXPECT_EQ(call_with("unlimited", get).exit_code, kRestored);

  server().sql("alter system set archive_command = 'false'");
  server().sql("select pg_reload_conf()");
  server().wait_for("current_setting('archive_command') = 'false'");
  server().sql("create table u as select md5(g::text) from generate_series(1, 10000) g");
  const std::string segment = server().sql("select pg_walfile_name(pg_switch_wal())");
  const std::vector<std::string> push{"archive-push", "pg_wal/" + segment};
  const Outcome full = call_with("20000", push);
  EXPECT_EQ(full.exit_code, 4) << full.err;  // it is the repository that is full
  EXPECT_EQ(archived_.get(segment).exit_code, kAbsent);
  const Outcome fits = call_with("unlimited", push);
  EXPECT_EQ(fits.exit_code, 0) << fits.err;
  EXPECT_EQ(archived_.get(segment).exit_code, kRestored);
}

TEST_F(Archive, BadCallsOfArchiveGetAreUnknownNeverAbsent) {
  const fs::path here = server().data_directory();
  EXPECT_EQ(archived_.get("notes.txt").exit_code, kUnknown);
  EXPECT_EQ(archived_.call({"archive-get"}, here).exit_code, kUnknown);
  EXPECT_EQ(archived_.call({"archive-get", last_, "pg_wal/R", "--no-such-option"}, here).exit_code,
            kUnknown);
  EXPECT_EQ(archived_.call({"archive-get", last_, "/no/such/folder/R"}, here).exit_code, kUnknown);
  EXPECT_EQ(
      archived_.call({"archive-get", "--history", "0009-4711", last_, "pg_wal/R"}, here).exit_code,
      kUnknown);
}

TEST_F(Archive, DamageIsUnknownAndNeverHandedOut) {
  const fs::path object = archived_.object_of(last_);
  std::string bytes = read_text(object);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  fs::permissions(object, fs::perms::owner_all);
  write_text(object, bytes);
  give(object);
  EXPECT_EQ(archived_.get(last_).exit_code, kUnknown);
  EXPECT_FALSE(fs::exists(wal("RECOVERYXLOG")));
  EXPECT_FALSE(fs::exists(wal("RECOVERYXLOG.holdfast")));
}

TEST_F(Archive, ASegmentSetBackToAnOlderStateIsNeverAcknowledgedFromMemory) {
  // What a call remembers of a segment is its content, not its name.
  ASSERT_EQ(archived_.push(last_).exit_code, 0);
  std::string other = read_text(wal(last_));
  other[5000] = static_cast<char>(other[5000] ^ 1);
  write_text(wal(last_), other);
  give(wal(last_));
  EXPECT_EQ(archived_.push(last_).exit_code, kRefused);
}

// Found in a review: a key file that cannot be read is no fault of the second repository.
TEST(SecondRepository, IsAskedWhenTheKeyOfTheFirstIsNotHere) {
  ArchivedCluster archived({.program = {.encryption = Encryption::kKeyFile}});
  HoldfastProgram& holdfast = archived.holdfast();
  archived.archive();
  const std::string last = archived.server().sql("select last_archived_wal from pg_stat_archiver");
  const fs::path second = holdfast.folder() / "second", key = holdfast.folder() / "key-too";
  copy_while_in_use(holdfast.repository_folder(), second);
  fs::rename(holdfast.key_file(), key);
  EXPECT_EQ(archived.get(last).exit_code, kUnknown);
  holdfast.settings().repository_lines = {
      "  - name: second", fmt::format("    url: file://{}", second.string()),
      fmt::format("    encryption: {{key_file: {}}}", key.string())};
  ASSERT_TRUE(holdfast.run({"config", "show"}).ok());  // which writes it
  const Outcome got = archived.get(last);
  EXPECT_EQ(got.exit_code, kRestored) << got.err;
  EXPECT_EQ(archived.get("0000000100000000000000F0").exit_code, kUnknown);
}

}  // namespace
}  // namespace holdfast::test
