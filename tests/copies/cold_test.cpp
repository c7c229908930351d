// Backups in a frozen storage class, which a decorator plays (storage/glacier_store.h): nothing of
// a pack can be read until it was asked for and some time has passed.
#include <csignal>
#include <fstream>
#include <map>
#include <thread>

#include <fmt/format.h>

#include "suite.h"
#include "support/recovering.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

class ColdStorage : public testing::Test {
 protected:
  ColdStorage() {
    // Random bytes do not compress: a backup stores several packs at the least memory budget.
    holdfast().settings().lines.emplace_back("memory: 64MiB");
    copying_.server().sql(
        "create table still as select g, string_agg(md5((g * 1000 + h)::text), '') from"
        " generate_series(1, 12000) g, generate_series(1, 40) h group by g");
    id_ = holdfast().backup({"--type", "full"}).at("id");
  }
  HoldfastProgram& holdfast() { return copying_.holdfast(); }
  fs::path requests() { return holdfast().folder() / "thaws"; }
  Variables frozen(int milliseconds = 1500, const std::string& storage_class = "GLACIER",
                   const std::string& parts = "/pack/") {
    return {{"HOLDFAST_STORE_GLACIER",
             fmt::format("{}:{}:{}:{}", storage_class, milliseconds, parts, requests().string())}};
  }
  std::vector<std::string> restore(const fs::path& to, std::vector<std::string> more = {}) {
    std::vector<std::string> words{"restore", id_, "--to", to.string(), "--target-immediate"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  // How often each object was asked for.
  std::map<std::string, int> asked() {
    std::map<std::string, int> counts;
    std::ifstream file(requests());
    std::string at, name;
    while (file >> at >> name) ++counts[name];
    return counts;
  }
  void expect_each_asked_for_once() {
    for (const auto& [name, times] : asked()) EXPECT_EQ(times, 1) << name;
  }
  std::size_t packs() {
    std::size_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(copying_.folder_of("first"))) {
      if (entry.is_regular_file() && entry.path().string().find("/pack/") != std::string::npos) {
        ++count;
      }
    }
    return count;
  }
  void forget_last_request() {
    std::string text = read_text(requests());
    text.pop_back();
    text.resize(text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1);
    write_text(requests(), text);
    give_to_server_user(requests());
  }
  fs::path expected() {
    const fs::path target = holdfast().new_path("expected");
    holdfast().must(restore(target));
    return target;
  }

  CopyingCluster copying_{{"first"}, {{"second"}}};
  std::string id_;
};

TEST_F(ColdStorage, AsksBeforeItCostsAnything) {
  const fs::path target = holdfast().new_path();
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{}, {"--thaw", "bulk"}, {"--yes"}}) {
    const Answer answer = holdfast().run(restore(target, more), frozen());
    EXPECT_EQ(answer.outcome.exit_code, 3) << answer.text();
    EXPECT_EQ(answer.kind(), "refused");
    for (const char* word : {"GLACIER", "objects (", "--thaw", "--yes", "bulk 5 to 12 hours"}) {
      EXPECT_NE(answer.error().find(word), std::string::npos) << word << answer.text();
    }
    EXPECT_FALSE(fs::exists(target));
    EXPECT_FALSE(fs::exists(requests()));
  }
}

TEST_F(ColdStorage, RefusesATargetBeforeItCostsAnything) {
  const fs::path target = holdfast().new_path();
  fs::create_directory(target);
  write_text(target / "something", "in the way");
  const Answer answer = holdfast().run(restore(target, {"--thaw", "bulk", "--yes"}), frozen());
  EXPECT_EQ(answer.outcome.exit_code, 3) << answer.text();
  EXPECT_FALSE(fs::exists(requests()));
}

TEST_F(ColdStorage, GoesOnByItselfWhenEverythingIsBack) {
  const fs::path target = holdfast().new_path();
  const Json done = holdfast().must(restore(target, {"--thaw", "standard", "--yes"}), frozen());
  EXPECT_EQ(done.at("thawed").at("storage_class"), "GLACIER");
  EXPECT_EQ(done.at("thawed").at("objects"), asked().size());
  EXPECT_GT(done.at("thawed").at("bytes"), 1000);
  EXPECT_GE(done.at("thawed").at("waited_seconds"), 1.0);
  EXPECT_GT(asked().size(), 0U);
  expect_each_asked_for_once();
  EXPECT_EQ(file_differences(expected(), target), std::vector<std::string>{});
  // Thawed by now: nothing to ask, nothing to confirm.
  const fs::path again = holdfast().new_path();
  EXPECT_TRUE(holdfast().must(restore(again), frozen()).at("thawed").is_null());
}

TEST_F(ColdStorage, SurvivesARestart) {
  const fs::path target = holdfast().new_path();
  Process waiting = holdfast().start(restore(target, {"--thaw", "bulk", "--yes"}), frozen(600'000));
  while (asked().size() < packs() && waiting.running()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  waiting.send(SIGKILL);
  EXPECT_EQ(waiting.wait(std::chrono::minutes(1)).signal, SIGKILL);
  EXPECT_FALSE(fs::exists(target)) << "something was written before it could be read";
  forget_last_request();
  const Answer refused = holdfast().run(restore(target), frozen(600'000));
  EXPECT_EQ(refused.kind(), "refused") << refused.text();
  EXPECT_NE(refused.error().find("asked for already"), std::string::npos) << refused.text();
  holdfast().must(restore(target, {"--thaw", "bulk", "--yes"}), frozen(5000));
  EXPECT_EQ(asked().size(), packs());
  expect_each_asked_for_once();
  EXPECT_EQ(file_differences(expected(), target), std::vector<std::string>{});
}

TEST_F(ColdStorage, DeepArchiveHasNoExpeditedRetrieval) {
  const Answer answer = holdfast().run(
      restore(holdfast().new_path(), {"--thaw", "expedited", "--yes"}), frozen(0, "DEEP_ARCHIVE"));
  EXPECT_EQ(answer.kind(), "usage") << answer.text();
  EXPECT_NE(answer.error().find("bulk up to 48 hours"), std::string::npos) << answer.text();
  EXPECT_FALSE(fs::exists(requests()));
}

TEST_F(ColdStorage, WhatIsAskedForAlreadyNeedsNoNewConsent) {
  {
    Process waiting = holdfast().start(restore(holdfast().new_path(), {"--thaw", "bulk", "--yes"}),
                                       frozen(600'000));
    while (asked().size() < packs() && waiting.running()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }
  holdfast().must(restore(holdfast().new_path()), frozen(3000));
  expect_each_asked_for_once();
}

// The catalogue is readable: what there is, and whether it is complete, needs no thaw.
TEST_F(ColdStorage, OtherCommandsSayWhatToDo) {
  EXPECT_TRUE(holdfast().run({"list"}, frozen()).ok());
  EXPECT_TRUE(holdfast().run({"verify", id_, "--quick"}, frozen()).ok());
  EXPECT_TRUE(holdfast().run({"copy", id_, "--to", "second", "--dry-run"}, frozen()).ok());
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"verify", id_}, {"copy", id_, "--to", "second"}}) {
    const Answer answer = holdfast().run(words, frozen());
    EXPECT_EQ(answer.outcome.exit_code, 3) << answer.text();
    EXPECT_NE(answer.error().find("--thaw"), std::string::npos) << answer.text();
  }
  const Outcome cat = run(
      {.arguments = as_server_user({HoldfastProgram::path(), "--config",
                                    holdfast().configuration().string(), "cat", id_, "PG_VERSION"}),
       .environment = frozen()});
  EXPECT_EQ(cat.exit_code, 4) << cat.err;
  EXPECT_NE(cat.err.find("holdfast restore --thaw"), std::string::npos) << cat.err;
  copying_.archived().archive();
  const Answer backup =
      holdfast().run({"backup", "--standalone"}, frozen(1500, "GLACIER", "/wal/"));
  EXPECT_EQ(backup.kind(), "refused") << backup.text();
  EXPECT_NE(backup.error().find("storage_class.wal"), std::string::npos) << backup.text();
  EXPECT_FALSE(fs::exists(requests()));
}

// WAL may be frozen too, with the indexes in it that a plan reads: everything behind the start of a
// named backup is brought back.
TEST_F(ColdStorage, ArchivedWalComesBackToo) {
  copying_.write_rows(100);
  copying_.archived().archive();
  const fs::path target = holdfast().new_path();
  const Variables all = frozen(1500, "GLACIER", "/pack/,/wal/");
  const Answer unnamed =
      holdfast().run({"restore", "--to", target.string(), "--thaw", "bulk", "--yes"}, all);
  EXPECT_EQ(unnamed.kind(), "refused") << unnamed.text();
  EXPECT_NE(unnamed.error().find("Name one"), std::string::npos) << unnamed.text();
  const Answer looked = holdfast().run({"restore", id_, "--to", target.string(), "--dry-run"}, all);
  EXPECT_EQ(looked.kind(), "refused") << looked.text();
  const Answer drawn = holdfast().run({"drill", id_, "--target-time", "random"}, all);
  EXPECT_EQ(drawn.kind(), "refused") << drawn.text();
  EXPECT_NE(drawn.error().find("--thaw"), std::string::npos) << drawn.text();
  const Answer asked_first = holdfast().run({"restore", id_, "--to", target.string()}, all);
  EXPECT_EQ(asked_first.kind(), "refused") << asked_first.text();
  EXPECT_FALSE(fs::exists(requests()));
  const Json done =
      holdfast().must({"restore", id_, "--to", target.string(), "--thaw", "bulk", "--yes"}, all);
  EXPECT_EQ(done.at("thawed").at("objects"), asked().size());
  int wal = 0;
  for (const auto& [name, times] : asked()) wal += name.find("/wal/") != std::string::npos ? 1 : 0;
  EXPECT_GE(wal, 2);
  expect_each_asked_for_once();
  const Variable frozen_for_the_server("HOLDFAST_STORE_GLACIER", *all.at("HOLDFAST_STORE_GLACIER"));
  PostgresCluster restored = start_recovered(target);
  EXPECT_EQ(restored.sql("select count(*) from numbers"), copying_.rows());
}

// What its plan says is looked at when it can be read, and not taken for granted before.
TEST_F(ColdStorage, ARecoveryIsPlannedFromWhatCameBack) {
  copying_.write_rows(100);
  copying_.archived().archive();
  const Variables all = frozen(1500, "GLACIER", "/pack/,/wal/");
  const Variable for_its_server("HOLDFAST_STORE_GLACIER", *all.at("HOLDFAST_STORE_GLACIER"));
  Recovering recover(copying_.archived());
  const Answer asked_first = recover.run({"start", id_});
  EXPECT_EQ(asked_first.kind(), "refused") << asked_first.text();
  EXPECT_NE(asked_first.error().find("--thaw SPEED --yes"), std::string::npos);
  EXPECT_FALSE(fs::exists(requests()));
  recover.must({"start", id_, "--thaw", "bulk", "--yes"});
  EXPECT_EQ(recover.ask("count(*) from numbers"), copying_.rows());
  expect_each_asked_for_once();

  // Found in a review: this waited for five minutes for WAL that nobody had asked for.
  copying_.write_rows(100);
  copying_.archived().archive();
  const Answer frozen_behind = recover.run({"forward"});
  EXPECT_EQ(frozen_behind.kind(), "refused") << frozen_behind.text();
  EXPECT_NE(frozen_behind.error().find("--thaw SPEED --yes"), std::string::npos);
  recover.must({"forward", "--thaw", "bulk", "--yes"});
  EXPECT_EQ(recover.ask("count(*) from numbers"), copying_.rows());
  expect_each_asked_for_once();

  const fs::path outside = holdfast().new_path("space");
  fs::create_directory(outside);
  give_to_server_user(outside);
  copying_.server().sql(fmt::format("create tablespace later location '{}'", outside.string()));
  copying_.archived().archive();
  const Answer behind = recover.run({"forward"});
  EXPECT_EQ(behind.kind(), "refused") << behind.text();
  EXPECT_NE(behind.error().find("must be thawed"), std::string::npos) << behind.text();
  const Answer refused = recover.run({"start", id_, "--name", "later", "--thaw", "bulk", "--yes"});
  EXPECT_EQ(refused.kind(), "refused") << refused.text();
  EXPECT_NE(refused.error().find("makes a tablespace"), std::string::npos) << refused.text();
  EXPECT_FALSE(fs::exists(recover.record("later")));
  recover.must({"abandon", "--yes"});
}

TEST_F(ColdStorage, CopiesAndVerifiesWhatWasThawed) {
  holdfast().must({"copy", id_, "--to", "second", "--thaw", "bulk", "--yes"}, frozen());
  EXPECT_GT(asked().size(), 0U);
  fs::remove(requests());
  holdfast().must({"verify", id_, "--thaw", "bulk", "--yes"}, frozen());
  EXPECT_GT(asked().size(), 0U);
  expect_each_asked_for_once();
  EXPECT_TRUE(holdfast().run({"--repo", "second", "verify", id_, "--deep"}).ok());
}

// Packs of the second repository are in a frozen class, and so are those that a copy puts into the
// folder of a backup, whichever repository it is in.
TEST(ColdCopies, AreThawedBeforeTheyAreVerified) {
  CopyingCluster copying({"first", true}, {{"second", true}});
  HoldfastProgram& holdfast = copying.holdfast();
  holdfast.settings().repository_lines.emplace_back("    storage_class: {data: GLACIER}");
  copying.write_rows(1000);
  holdfast.backup({"--type", "full"});
  copying.write_rows(10);
  const std::string id = holdfast.backup().at("id");
  const fs::path requests = holdfast.folder() / "thaws";
  const Variables frozen{
      {"HOLDFAST_STORE_GLACIER", fmt::format("GLACIER:500:{}/pack/:{}", id, requests.string())}};
  std::vector<std::string> words{"copy", id, "--to", "second", "--standalone", "--verify"};
  const Answer refused = holdfast.run(words, frozen);
  EXPECT_EQ(refused.outcome.exit_code, 3) << refused.text();
  EXPECT_NE(refused.error().find("--thaw SPEED --yes"), std::string::npos) << refused.text();
  EXPECT_FALSE(fs::exists(requests));
  EXPECT_TRUE(holdfast.listed({"--repo", "second"}).empty());

  words.insert(words.end(), {"--thaw", "bulk", "--yes"});
  const Json copied = holdfast.must(words, frozen);
  EXPECT_EQ(copied.at("damaged_objects"), 0);
  EXPECT_EQ(copied.at("backups")[0].at("form"), "standalone");
}

}  // namespace
}  // namespace holdfast::test
