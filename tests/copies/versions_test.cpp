// A bucket with versioning, on a real server: after everything in it was deleted or overwritten,
// the reading commands see it as it was, and undelete brings it back.
#include <chrono>
#include <csignal>
#include <thread>

#include <fmt/format.h>

#include "suite.h"
#include "support/promoting.h"
#include "support/s3_server.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

class VersionedBucket : public testing::Test {
 protected:
  explicit VersionedBucket(ObjectLock lock = ObjectLock::kOff) : lock_(lock) {}
  void SetUp() override {
    if (const auto reason = S3Server::why_unavailable()) GTEST_SKIP() << *reason;
    copying_.emplace(
        Place{.name = "first", .on_s3 = true, .encryption = Encryption::kKeyFile, .lock = lock_},
        std::vector<Place>{{.name = "second"}});
    bucket_ = copying_->url_of("first").substr(std::string("s3://").size());
  }
  void retain_one() {
    auto& lines = holdfast().settings().repository_lines;
    lines.insert(lines.begin(), "    retention: {keep_last: 1, grace: 0}");
  }
  HoldfastProgram& holdfast() { return copying_->holdfast(); }

  // What was stored before has versions without an id of their own.
  void enable_versioning() {
    const std::string on =
        "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    const HttpResponse answer = shared_s3_server().send(
        bucket_, {.method = "PUT", .query = {{"versioning", ""}}, .body = as_bytes(on)});
    ASSERT_EQ(answer.status, 200) << as_text(answer.body);
  }
  void take_backup() {
    copying_->write_rows(500);
    ids_.push_back(holdfast().backup().at("id"));
    copying_->archived().archive();
  }
  // A moment after everything so far and before everything that follows; a listing of versions
  // tells milliseconds.
  static std::string moment() {
    const auto tick = [] { std::this_thread::sleep_for(std::chrono::milliseconds(10)); };
    tick();
    const std::string text = to_rfc3339(system_clock().now());
    tick();
    return text;
  }
  Words ids_as_of(const std::string& time) {
    Words ids;
    for (const Json& backup : holdfast().listed({"--as-of", time})) ids.push_back(backup.at("id"));
    return ids;
  }
  Words complete() {
    Words ids;
    for (const Json& backup : holdfast().listed()) {
      if (backup.at("state") == "complete") ids.push_back(backup.at("id"));
    }
    return ids;
  }
  void expect_whole_but_for_begin(const std::string& id) {
    const Answer answer = holdfast().run({"verify", id});
    for (const Json& finding : answer.result().at("findings")) {
      const std::string object = finding.at("object");
      EXPECT_TRUE(object.ends_with("/begin")) << answer.text();
    }
  }
  // Runs `expire` until `done` says so of an answer: the server's clock, by which even a grace
  // period of nothing is told, ticks in seconds.
  template <class Done>
  Answer expire_until(Done done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    for (;;) {
      Answer answer = holdfast().run({"expire", "--yes"});
      if (!answer.ok() || done(answer)) return answer;
      if (std::chrono::steady_clock::now() > end) {
        ADD_FAILURE() << "expiry does not come to its end: " << answer.text();
        return answer;
      }
    }
  }
  Answer expire_until_one_is_left() {
    return expire_until([&](const Answer&) { return holdfast().listed().size() == 1; });
  }
  std::string rows_restored(Words more) {
    const fs::path target = holdfast().new_path();
    holdfast().restore(target, more);
    PostgresCluster restored = start_recovered(target);
    std::string rows = restored.sql("select count(*) from numbers");
    restored.stop();
    return rows;
  }
  void overwrite(const std::string& name) {
    const HttpResponse answer = shared_s3_server().send(
        bucket_, {.method = "PUT", .key = name, .body = as_bytes("something else")});
    ASSERT_EQ(answer.status, 200) << as_text(answer.body);
  }
  void forbid(const Words& actions, const std::string& objects = "*") {
    shared_s3_server().set_policy(
        bucket_, fmt::format(R"({{"Version":"2012-10-17","Statement":[{{"Effect":"Deny",
            "Principal":"*","Action":["{}"],"Resource":"arn:aws:s3:::{}/{}"}}]}})",
                             fmt::join(actions, R"(",")"), bucket_, objects));
  }
  void allow_everything() {
    shared_s3_server().send(bucket_, {.method = "DELETE", .query = {{"policy", ""}}});
  }

  const ObjectLock lock_;
  std::optional<CopyingCluster> copying_;
  std::string bucket_;
  Words ids_;
};

// By the mode of its default retention.
class LockedBucket : public VersionedBucket, public testing::WithParamInterface<std::string> {
 protected:
  LockedBucket() : VersionedBucket(ObjectLock::kOn) {}
  // Of what `expire` removed, the content is there, and the server lets nobody destroy it.
  void expect_locked(const std::string& object) {
    const auto ask = [&](const std::string& method, std::vector<QueryParameter> query) {
      return shared_s3_server().send(bucket_, {.method = method, .key = object, .query = query});
    };
    EXPECT_EQ(ask("GET", {}).status, 404) << "it should be hidden";
    const HttpResponse listed =
        shared_s3_server().send(bucket_, {.query = {{"prefix", object}, {"versions", ""}}});
    const std::string text(as_text(listed.body));
    const auto version = text.find("<Version>");
    ASSERT_NE(version, std::string::npos) << text;
    constexpr std::string_view kBegin = "<VersionId>";
    const auto begin = text.find(kBegin, version) + kBegin.size();
    const std::string id = text.substr(begin, text.find('<', begin) - begin);
    EXPECT_EQ(ask("DELETE", {{"versionId", id}}).status, 403) << "the lock does nothing";
  }
};

// What was made of a repository as it was takes the cluster's place when that is brought back.
TEST_F(VersionedBucket, ARecoveryOfWhatItWasIsPromotedWhenItIsBroughtBack) {
  take_backup();
  const std::string rows = copying_->rows();
  enable_versioning();
  const std::string good = moment();
  copying_->destroy("first");
  holdfast().settings().lines = {"recover: {approvals: 0}"};
  Promoting recover(copying_->archived());
  recover.must({"start", "--repo", "first", "--as-of", good});
  recover.must({"check"});
  PostgresCluster& server = copying_->archived().server();
  const pid_t before = server.pid();
  for (const Words& lost : {Words{}, Words{"--lost", "it is"}}) {
    Words promote{"promote", "--confirm", "demo"};
    promote.insert(promote.end(), lost.begin(), lost.end());
    const Answer refused = recover.run(promote);
    EXPECT_EQ(refused.outcome.exit_code, 3) << refused.text();
    EXPECT_NE(refused.error().find("undelete --as-of"), std::string::npos) << refused.text();
    EXPECT_EQ(postmaster_of(recover.place()), before) << "nothing is stopped";
  }
  holdfast().must({"undelete", "--repo", "first", "--as-of", good, "--yes"});
  EXPECT_EQ(recover.must({"promote", "--confirm", "demo"}).at("state"), "promoted");
  EXPECT_EQ(server.sql("select count(*) from numbers"), rows);
  copying_->archived().archive();
}

TEST_F(VersionedBucket, IsSeenAsItWasAndBroughtBack) {
  take_backup();
  enable_versioning();
  const std::string early = moment();
  take_backup();
  const std::string good = moment();
  copying_->destroy("first");
  EXPECT_EQ(holdfast().run({"list"}).outcome.exit_code, 4) << "nothing should be left";

  EXPECT_EQ(ids_as_of(early), Words{ids_[0]});
  EXPECT_EQ(ids_as_of(good), ids_);
  EXPECT_EQ(holdfast().must({"show", "latest", "--as-of", good}).at("id"), ids_[1]);
  EXPECT_EQ(holdfast().must({"show", "latest", "--as-of", early}).at("id"), ids_[0]);
  const Json window = holdfast().must({"window", "--as-of", good}).at("histories")[0];
  EXPECT_EQ(window.at("timelines")[0].at("gaps").size(), 0U) << window.dump(2);
  const Answer verified = holdfast().run({"verify", "--all", "--deep", "--as-of", good});
  EXPECT_TRUE(verified.ok()) << verified.text();
  EXPECT_NE(verified.document.at("warnings").dump().find("seen as it was"), std::string::npos)
      << "a proof cannot be stored: " << verified.text();
  const Outcome version =
      run({.arguments = as_server_user({HoldfastProgram::path(), "--config",
                                        holdfast().configuration().string(), "cat", ids_[0],
                                        "PG_VERSION", "--as-of", good})});
  EXPECT_EQ(version.out, read_text(copying_->server().data_directory() / "PG_VERSION"));
  EXPECT_EQ(rows_restored({"--as-of", good}), copying_->rows());
  holdfast().must({"copy", "latest", "--to", "second", "--as-of", good, "--verify"});
  EXPECT_EQ(holdfast().run({"list"}).outcome.exit_code, 4) << "reading wrote something";

  EXPECT_EQ(holdfast().run({"undelete", "--as-of", good}).kind(), "usage");
  const Json planned = holdfast().must({"undelete", "--as-of", good, "--dry-run"});
  EXPECT_EQ(planned.at("backups"), Json(ids_));
  EXPECT_EQ(holdfast().run({"list"}).outcome.exit_code, 4) << "a dry run wrote something";
  const Json done = holdfast().must({"undelete", "--as-of", good, "--yes"});
  for (const char* number : {"objects", "bytes", "backups"}) {
    EXPECT_EQ(done.at(number), planned.at(number)) << number;
  }
  EXPECT_GT(done.at("objects"), 10);
  EXPECT_EQ(done.at("copied_objects"), 0) << "to remove delete markers is enough";
  EXPECT_EQ(complete(), ids_);
  EXPECT_EQ(holdfast().must({"undelete", "--as-of", good, "--yes"}).at("objects"), 0);
  holdfast().must({"verify", "--all", "--deep"});
  take_backup();
  EXPECT_EQ(rows_restored({}), copying_->rows());
}

// With nothing left in the bucket: what can be known and proven of then, and a copy that stands.
TEST_F(VersionedBucket, IsRehearsedAndRecoveredAsItWas) {
  enable_versioning();
  const std::string slot = holdfast().must({"key", "list"}).at("slots").at(0).at("id");
  take_backup();
  const std::string target = moment();
  const std::string rows = copying_->rows();
  take_backup();
  const std::string good = moment();
  copying_->destroy("first");

  EXPECT_EQ(holdfast().must({"key", "list", "--as-of", good}).at("slots").at(0).at("id"), slot);
  const Json done = holdfast().must({"log", "--as-of", good});
  EXPECT_EQ(done.at("source"), "repository");
  EXPECT_NE(done.at("actions").dump().find(ids_[0]), std::string::npos) << done.dump(2);
  EXPECT_FALSE(holdfast().run({"status"}).result().at("repositories")[0].at("reachable"));
  const Json status = holdfast().run({"status", "--as-of", good}).result().at("repositories");
  ASSERT_EQ(status.size(), 1U) << "the others are not looked at";
  EXPECT_EQ(status[0].at("last_good").at("id"), ids_[1]);
  EXPECT_TRUE(status[0].at("as_of").is_string());

  const Answer drilled = holdfast().run({"drill", "--random", "--as-of", good});
  ASSERT_TRUE(drilled.ok()) << drilled.text();
  EXPECT_TRUE(drilled.result().at("as_of").is_string());
  const std::string repeat = drilled.result().at("drawn").at("repeat");
  EXPECT_NE(repeat.find(" --as-of "), std::string::npos) << repeat;
  EXPECT_NE(drilled.document.at("warnings").dump().find("seen as it was"), std::string::npos)
      << "a proof cannot be stored: " << drilled.text();

  // It is interrupted, and goes on with what the record knows.
  const Answer killed =
      holdfast().run({"recover", "start", "--target-time", target, "--as-of", good},
                     {{"HOLDFAST_FAULT_POINT", std::string("restore.marker_written:kill")}});
  ASSERT_EQ(killed.outcome.signal, SIGKILL) << killed.text();
  EXPECT_EQ(holdfast().run({"recover", "start", "--as-of", good}).outcome.exit_code, 3)
      << "it has its time already";
  const Json paused = holdfast().must({"recover", "start"});
  EXPECT_EQ(paused.at("state"), "paused");
  EXPECT_TRUE(paused.at("as_of").is_string());
  const auto count = [&] {
    return run({.arguments =
                    as_server_user({HoldfastProgram::path(), "--config",
                                    holdfast().configuration().string(), "recover", "connect",
                                    "--command", "copy (select count(*) from numbers) to stdout"})})
        .out;
  };
  EXPECT_EQ(count(), rows + "\n");
  EXPECT_EQ(holdfast().must({"recover", "forward"}).at("state"), "paused");
  EXPECT_EQ(count(), copying_->rows() + "\n");
  holdfast().must({"recover", "abandon", "--yes"});
  EXPECT_EQ(holdfast().run({"list"}).outcome.exit_code, 4) << "something was written";
}

TEST_F(VersionedBucket, WhatWasOverwrittenOrMayNotBeUncoveredIsCopied) {
  enable_versioning();
  take_backup();
  const std::string good = moment();
  copying_->destroy("first");
  overwrite("repository");
  EXPECT_FALSE(holdfast().run({"list"}).ok());
  EXPECT_EQ(ids_as_of(good), ids_);
  forbid({"s3:DeleteObjectVersion"});
  const Json done = holdfast().must({"undelete", "--as-of", good, "--yes"});
  EXPECT_EQ(done.at("copied_objects"), done.at("objects"));
  EXPECT_EQ(complete(), ids_);
  EXPECT_EQ(holdfast().must({"undelete", "--as-of", good, "--yes"}).at("objects"), 0);
  holdfast().must({"verify", "--all", "--deep"});
  // Where neither is allowed it says so and ends with a failure.
  copying_->destroy("first");
  forbid({"s3:*"});
  const Answer denied = holdfast().run({"undelete", "--as-of", good, "--yes"});
  EXPECT_EQ(denied.outcome.exit_code, 4) << denied.text();
  EXPECT_GT(denied.result().at("failed_objects"), 10) << denied.text();
}

// What may not be brought back keeps every backup away; afterwards the same command does the rest.
TEST_F(VersionedBucket, HalfAnUndeleteIsRepeated) {
  enable_versioning();
  take_backup();
  take_backup();
  const std::string good = moment();
  const std::string history = holdfast().must({"show", "latest"}).at("history");
  copying_->destroy("first");
  forbid({"s3:PutObject", "s3:DeleteObjectVersion"},
         fmt::format("demo/{}/backup/{}/*", history, ids_[0]));
  const Answer half = holdfast().run({"undelete", "--as-of", good, "--yes"});
  EXPECT_EQ(half.outcome.exit_code, 4) << half.text();
  EXPECT_GT(half.result().at("failed_objects"), 0) << half.text();
  EXPECT_GT(half.result().at("objects"), 0) << half.text();
  EXPECT_EQ(complete(), Words{}) << "what the other one needs may be missing";
  allow_everything();
  const Json rest = holdfast().must({"undelete", "--as-of", good, "--yes"});
  EXPECT_EQ(rest.at("objects"), half.result().at("failed_objects").get<int>() + 4)
      << "commit records and begin records come last";
  EXPECT_EQ(complete(), ids_);
  holdfast().must({"verify", "--all", "--deep"});
}

TEST_F(VersionedBucket, AKilledUndeleteIsRepeated) {
  enable_versioning();
  take_backup();
  take_backup();
  const std::string good = moment();
  int cut_short = 0;
  for (int kill = 1; kill <= 6; ++kill) {
    copying_->destroy("first");
    Process undelete = holdfast().start({"undelete", "--as-of", good, "--yes"});
    std::this_thread::sleep_for(std::chrono::milliseconds(40 * kill));
    undelete.send(SIGKILL);
    cut_short += undelete.wait(std::chrono::seconds(10)).signal == SIGKILL ? 1 : 0;
    // Whatever is a backup already is whole, but for its begin record, which comes last.
    if (holdfast().run({"list"}).ok()) {
      for (const std::string& id : complete()) expect_whole_but_for_begin(id);
    }
    holdfast().must({"undelete", "--as-of", good, "--yes"});
    ASSERT_EQ(complete(), ids_);
  }
  EXPECT_GT(cut_short, 0);
  holdfast().must({"verify", "--all", "--deep"});
}

// An expiry that had begun goes on removing what has come back, and is not hidden: the same command
// again brings everything back for good.
TEST_F(VersionedBucket, AfterAnExpiryBesideItUndeleteIsRepeated) {
  enable_versioning();
  take_backup();
  take_backup();
  const std::string good = moment();
  auto& lines = holdfast().settings().repository_lines;
  lines.insert(lines.begin(), "    retention: {grace: 0}");
  holdfast().must({"delete", ids_[0], "--yes"});
  // By the server's clock, which ticks in seconds, it may not be due at once.
  std::optional<Process> expiry;
  for (int run = 0; run < 20 && !expiry; ++run) {
    Process process =
        holdfast().start({"expire", "--yes"},
                         {{"HOLDFAST_FAULT_POINT", std::string("expire.outcome_removed:stop")}});
    try {
      wait_until_stopped(process);
      expiry.emplace(std::move(process));
    } catch (const std::runtime_error&) {
      process.wait(std::chrono::seconds(60));
    }
  }
  ASSERT_TRUE(expiry);
  holdfast().must({"undelete", "--as-of", good, "--yes"});
  EXPECT_EQ(complete(), ids_);
  expiry->send(SIGCONT);
  EXPECT_TRUE(expiry->wait(std::chrono::seconds(60)).ok());
  EXPECT_EQ(holdfast().run({"verify", ids_[0]}).outcome.exit_code, 1)
      << "it is damaged, and said so";
  EXPECT_GT(holdfast().must({"undelete", "--as-of", good, "--yes"}).at("objects"), 0);
  for (int run = 0; run < 2; ++run) holdfast().must({"expire", "--yes"});
  EXPECT_EQ(complete(), ids_);
  holdfast().must({"verify", "--all", "--deep"});
}

TEST_F(VersionedBucket, WithdrawsTheDeletionOfABackup) {
  enable_versioning();
  take_backup();
  take_backup();
  const std::string good = moment();
  retain_one();
  EXPECT_EQ(holdfast().must({"delete", ids_[0], "--yes"}).at("versioning"), "enabled");
  EXPECT_EQ(expire_until_one_is_left().result().at("versioning"), "enabled");
  EXPECT_EQ(complete(), Words{ids_[1]});
  const Json done = holdfast().must({"undelete", "--as-of", good, "--yes"});
  EXPECT_EQ(done.at("backups"), Json(Words{ids_[0]}));
  EXPECT_GE(done.at("hidden_records"), 2);
  EXPECT_EQ(complete(), ids_);
  holdfast().must({"hold", ids_[0], "--until", "2999-01-01", "--reason", "evidence"});
  for (int run = 0; run < 3; ++run) holdfast().must({"expire", "--yes"});
  EXPECT_EQ(complete(), ids_);
  holdfast().must({"verify", "--all", "--deep"});
  holdfast().restore(holdfast().new_path(), {ids_[0], "--target-immediate"});
}

// What `expire` cannot remove it reports; it does the rest, and tries again the next time.
TEST_F(VersionedBucket, ExpiryWithoutTheRightToDeleteSaysSoAndCarriesOn) {
  take_backup();
  take_backup();
  retain_one();
  forbid({"s3:DeleteObject"});
  const Answer denied = expire_until(
      [](const Answer& answer) { return answer.result().at("not_removed_objects") > 0; });
  ASSERT_TRUE(denied.ok()) << denied.text();
  EXPECT_NE(denied.document.at("warnings").dump().find("could not be removed"), std::string::npos)
      << denied.text();
  EXPECT_EQ(complete(), Words{ids_[1]}) << "the one that goes is not offered any more";
  take_backup();
  holdfast().must({"verify", "latest"});
  allow_everything();
  // Three are there: one that goes, one that expires now, and the last one.
  const Answer expired = expire_until_one_is_left();
  ASSERT_TRUE(expired.ok()) << expired.text();
  EXPECT_EQ(expired.result().at("not_removed_objects"), 0);
  holdfast().must({"verify", "--all", "--deep"});
}

// Object Lock protects versions: what is removed is hidden, said to take space, and comes back.
TEST_P(LockedBucket, WhatExpiredIsHiddenAndComesBack) {
  const std::string locked = fmt::format(
      "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>"
      "<DefaultRetention><Mode>{}</Mode><Days>1</Days></DefaultRetention></Rule>"
      "</ObjectLockConfiguration>",
      GetParam());
  const HttpResponse set = shared_s3_server().send(
      bucket_, {.method = "PUT", .query = {{"object-lock", ""}}, .body = as_bytes(locked)});
  ASSERT_EQ(set.status, 200) << as_text(set.body);
  take_backup();
  take_backup();
  const std::string good = moment();
  retain_one();
  const Json expired = expire_until_one_is_left().result();
  EXPECT_EQ(expired.at("versioning"), "enabled");
  EXPECT_EQ(expired.at("not_removed_objects"), 0);
  EXPECT_EQ(complete(), Words{ids_[1]});
  const Outcome told = run(
      {.arguments = as_server_user({HoldfastProgram::path(), "--config",
                                    holdfast().configuration().string(), "expire", "--dry-run"})});
  EXPECT_NE(told.out.find("stays as older versions, and its space is free only when"),
            std::string::npos)
      << told.out << told.err;
  expect_locked(fmt::format("demo/{}/backup/{}/manifest",
                            holdfast().must({"show", "latest"}).at("history").get<std::string>(),
                            ids_[0]));
  EXPECT_EQ(ids_as_of(good), ids_);
  holdfast().must({"undelete", "--as-of", good, "--yes"});
  EXPECT_EQ(complete(), ids_);
  holdfast().must({"verify", "--all", "--deep"});
}

INSTANTIATE_TEST_SUITE_P(Mode, LockedBucket, testing::Values("COMPLIANCE", "GOVERNANCE"),
                         [](const auto& mode) { return mode.param; });

TEST_F(VersionedBucket, OthersSayThatTheyCannot) {
  for (const char* repository : {"first", "second"}) {
    for (const Words& command : {Words{"list"},
                                 {"window"},
                                 {"status"},
                                 {"log"},
                                 {"key", "list"},
                                 {"drill"},
                                 {"recover", "start"},
                                 {"undelete", "--dry-run"}}) {
      Words words{"--repo", repository};
      words.insert(words.end(), command.begin(), command.end());
      words.insert(words.end(), {"--as-of", "-1h"});
      const Answer answer = holdfast().run(words);
      EXPECT_EQ(answer.kind(), "usage") << answer.text();
      EXPECT_NE(answer.error().find("older versions"), std::string::npos) << answer.text();
    }
  }
  const Answer future = holdfast().run({"list", "--as-of", "2999-01-01 00:00"});
  EXPECT_EQ(future.kind(), "usage") << future.text();
  EXPECT_EQ(holdfast().must({"expire", "--dry-run"}).at("versioning"), "none");
}

}  // namespace
}  // namespace holdfast::test
