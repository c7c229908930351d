// The audit log: its chain, what breaks it, and its copy in a repository.
#include "app/audit_log.h"

#include <filesystem>
#include <functional>
#include <map>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/action.h"
#include "app/audit_view.h"
#include "app/open.h"
#include "core/error.h"
#include "repository/audit_record.h"
#include "support/temp_folder.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const std::stop_token kNoStop;

class AuditLogTest : public testing::Test {
 protected:
  AuditLogTest() {
    fs::create_directory(state());
    fs::permissions(state(), fs::perms::owner_all);
  }

  fs::path state() const { return folder_ / "state"; }
  fs::path log() const { return audit_log_path(state()); }
  std::vector<std::string> lines() const { return read_audit_log(state()).lines; }
  void append(int count) const {
    for (int i = 0; i < count; ++i) append_audit_line(state(), {{"event", "test"}, {"i", i}});
  }
  void write(const std::vector<std::string>& lines) const {
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    test::write_text(log(), text);
  }
  // What verification says once `damage` has changed the lines.
  std::vector<std::string> found_after(
      const std::function<void(std::vector<std::string>&)>& damage) const {
    std::vector<std::string> changed = lines();
    damage(changed);
    return verify_audit_chain(changed);
  }

  test::TempFolder folder_;
};

TEST_F(AuditLogTest, LinesFollowEachOtherAndNobodyElseMayReadThem) {
  append(3);
  ASSERT_THAT(lines(), SizeIs(3));
  EXPECT_THAT(verify_audit_chain(lines()), IsEmpty());
  const AuditLine first = parse_audit_line(lines()[0]), second = parse_audit_line(lines()[1]);
  EXPECT_EQ(first.number, 1U);
  EXPECT_EQ(first.previous, std::string(64, '0'));
  EXPECT_EQ(second.previous, first.hash);
  EXPECT_EQ(second.log, first.log);
  EXPECT_EQ(fs::status(log()).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(AuditLogTest, WhateverIsDoneToALineIsFound) {
  append(5);
  const auto change = [](std::vector<std::string>& all) {
    all[2].replace(all[2].find("\"i\":2"), 5, "\"i\":7");
  };
  EXPECT_THAT(found_after(change), ElementsAre("line 3 was changed"));
  EXPECT_THAT(found_after([](auto& all) { all.erase(all.begin() + 1, all.begin() + 3); }),
              ElementsAre("line 2 has the number 4: numbers 2 to 3 are missing before it"));
  EXPECT_THAT(found_after([](auto& all) { all.erase(all.begin()); }),
              ElementsAre("line 1 has the number 2: number 1 are missing before it"));
  EXPECT_THAT(found_after([](auto& all) { std::swap(all[1], all[2]); }),
              testing::Contains("line 3 has the number 2 and is out of order"));
  EXPECT_THAT(found_after([](auto& all) { all[4] = "nonsense"; }),
              ElementsAre("line 5 cannot be read"));
}

// Somebody who knows the format can make a line that is whole in itself, but not one that fits.
TEST_F(AuditLogTest, ALineOfAnotherLogDoesNotFit) {
  append(3);
  const std::vector<std::string> ours = lines();
  fs::remove(log());
  append(3);
  std::vector<std::string> mixed = lines();
  mixed[1] = ours[1];
  EXPECT_THAT(verify_audit_chain(mixed), testing::Contains("line 2 is of another log"));
}

TEST_F(AuditLogTest, WhatACrashLeftOfALineIsRemovedAndSaid) {
  append(2);
  test::append_text(log(), "{\"number\":3,\"lo");
  EXPECT_EQ(read_audit_log(state()).torn_bytes, 15U);
  append(1);
  EXPECT_THAT(verify_audit_chain(lines()), IsEmpty());
  ASSERT_THAT(lines(), SizeIs(3));
  EXPECT_EQ(parse_audit_line(lines()[2]).fields.at("removed_torn_bytes"), 15);
}

TEST_F(AuditLogTest, NothingIsAddedToALineThatWasChanged) {
  append(2);
  std::vector<std::string> changed = lines();
  changed[1].replace(changed[1].find("\"i\":1"), 5, "\"i\":7");
  write(changed);
  try {
    append(1);
    FAIL() << "a line was added";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kDamage);
    EXPECT_THAT(error.hint(), HasSubstr("log --verify"));
  }
  EXPECT_EQ(lines(), changed);
}

TEST_F(AuditLogTest, ConcurrentWritersTakeTurns) {
  {
    std::vector<std::jthread> writers;
    for (int i = 0; i < 4; ++i) writers.emplace_back([&] { append(10); });
  }
  EXPECT_THAT(lines(), SizeIs(40));
  EXPECT_THAT(verify_audit_chain(lines()), IsEmpty());
}

// With a repository in a folder.
class ActionTest : public AuditLogTest {
 protected:
  ActionTest() {
    config_.cluster = "demo";
    config_.state_directory = state();
    config_.timezone = "UTC";
    RepositoryConfig repository;
    repository.name = "hot";
    repository.url = "file://" + (folder_ / "repository").string();
    config_.repositories = {repository};
  }

  void make_repository() const {
    create_store(store_options(config_.repositories.front()));
    const auto store = open_store(store_options(config_.repositories.front()));
    Repository::create(*store, {.key = std::nullopt, .key_label = "", .holdfast_version = "test"},
                       kNoStop);
  }
  void act(const std::string& reason) {
    RecordedAction action(
        config_, {.command = "hold", .arguments = {"hold", "x"}, .reason = reason}, warn());
    action.end({.subject = "x"}, warn());
    action.copy({}, warn(), kNoStop);
  }
  Warn warn() {
    return [this](std::string text) { warnings_.push_back(std::move(text)); };
  }
  AuditView verified() const {
    return show_audit_log(config_, {.since = {}, .verify = AuditVerify::kYes}, kNoStop);
  }
  AuditView copied() const {
    return show_audit_copies(config_, config_.repositories.front(),
                             {.since = {}, .verify = AuditVerify::kYes}, kNoStop);
  }

  Config config_;
  std::vector<std::string> warnings_;
};

TEST_F(ActionTest, IsInTheRepositoryOnceItHasEnded) {
  make_repository();
  act("one");
  act("two");
  EXPECT_THAT(warnings_, IsEmpty());
  for (const AuditView& view : {verified(), copied()}) {
    ASSERT_THAT(view.actions, SizeIs(2));
    EXPECT_EQ(view.actions[1].reason, "two");
    EXPECT_EQ(view.actions[1].subject, "x");
    EXPECT_TRUE(view.actions[1].ended);
    EXPECT_THAT(view.findings, IsEmpty());
    EXPECT_THAT(view.notes, IsEmpty());
    EXPECT_EQ(view.lines, 4U);
  }
}

TEST_F(ActionTest, WhatCouldNotBeCopiedFollowsWithTheNextOne) {
  act("no repository yet");
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("could not be copied")));
  make_repository();
  act("now");
  EXPECT_THAT(warnings_, SizeIs(1));
  ASSERT_THAT(copied().actions, SizeIs(2));
  EXPECT_EQ(copied().actions[0].reason, "no repository yet");
}

TEST_F(ActionTest, AnEndThatWasCutOffIsFoundByTheCopy) {
  make_repository();
  act("one");
  act("two");
  std::vector<std::string> all = lines();
  all.resize(2);
  write(all);
  EXPECT_THAT(verify_audit_chain(all), IsEmpty());  // not by the log alone
  EXPECT_THAT(verified().findings, ElementsAre(HasSubstr("the end is missing")));
}

TEST_F(ActionTest, ALogThatWasSetBackAndWentOnIsFoundByTheCopy) {
  make_repository();
  act("one");
  act("two");
  std::vector<std::string> all = lines();
  all.resize(2);
  write(all);
  act("three");  // as many lines as before
  EXPECT_THAT(verify_audit_chain(lines()), IsEmpty());
  EXPECT_THAT(verified().findings,
              ElementsAre(HasSubstr("line 3 is not what was copied to the repository")));
  EXPECT_THAT(copied().findings, ::testing::Not(IsEmpty()));  // both are there
}

TEST_F(ActionTest, ALogThatWasWrittenAnewIsFoundByTheCopy) {
  make_repository();
  act("one");
  act("two");
  const std::vector<std::string> all = lines();
  fs::remove(log());
  append_audit_line(state(), {{"event", "forged"}});
  EXPECT_THAT(verified().findings, ElementsAre(HasSubstr("was begun anew")));
}

TEST_F(ActionTest, ACopyThatWasTakenAwayIsFoundInTheRepository) {
  make_repository();
  for (const char* reason : {"one", "two", "three"}) act(reason);
  std::map<std::string, fs::path> copies;  // by number of their first line, as the names are random
  for (const auto& entry :
       fs::recursive_directory_iterator(folder_ / "repository" / "demo" / "audit")) {
    if (entry.is_regular_file()) copies[entry.path().filename()] = entry.path();
  }
  ASSERT_THAT(copies, SizeIs(3));
  const auto repository = open_repository(config_.repositories.front(), kNoStop);
  for (const auto& [name, path] : copies) {
    const std::string object = fs::relative(path, folder_ / "repository").string();
    if (read_audit_record(*repository, object, kNoStop).first == 3) fs::remove(path);
  }
  EXPECT_THAT(copied().findings, ElementsAre(HasSubstr("numbers 3 to 4 are missing")));
}

TEST_F(ActionTest, ACopyThatIsDamagedIsNamedAndTheOthersAreShown) {
  make_repository();
  act("one");
  act("two");
  fs::path last;
  for (const auto& entry :
       fs::recursive_directory_iterator(folder_ / "repository" / "demo" / "audit")) {
    if (entry.is_regular_file()) last = entry.path();
  }
  std::string content = test::read_text(last);
  content[content.size() / 2] = static_cast<char>(content[content.size() / 2] ^ 1);
  test::write_text(last, content);
  EXPECT_THAT(copied().actions, SizeIs(1));
  EXPECT_THAT(copied().findings, testing::Contains(HasSubstr(last.filename().string())));
  EXPECT_THAT(verified().findings, testing::Contains(HasSubstr(last.filename().string())));
}

TEST_F(ActionTest, ThatWasKilledHasNoEnd) {
  {
    const RecordedAction action(config_, {.command = "backup"}, warn());
  }
  ASSERT_THAT(show_audit_log(config_, {}, kNoStop).actions, SizeIs(1));
  EXPECT_FALSE(show_audit_log(config_, {}, kNoStop).actions[0].ended);
}

TEST_F(ActionTest, PasswordsStayOutOfTheLog) {
  RecordedAction action(
      config_,
      {.command = "init",
       .arguments = {"init", "host=a password=hunter2 user=b", "s3://u:hunter2@host/x"},
       .reason = "password=hunter2"},
      warn());
  const Error error(ErrorKind::kPostgres, "cannot connect to 'postgres://u:hunter2@a:5432/b': no",
                    {.object = "GET https://h/k?X-Amz-Signature=hunter2&x=1"});
  action.end({.exit = 5, .error = &error, .subject = "token=hunter2"}, warn());
  EXPECT_THAT(test::read_text(log()), testing::Not(HasSubstr("hunter2")));
  EXPECT_THAT(lines(), SizeIs(2));
}

TEST_F(ActionTest, LongArgumentsAreCutShort) {
  const std::vector<std::string> many(10000, std::string(10000, '\x01'));
  RecordedAction action(config_, {.command = "init", .arguments = many, .reason = many[0]}, warn());
  EXPECT_THAT(warnings_, IsEmpty());
  EXPECT_THAT(lines(), SizeIs(1));
}

TEST_F(ActionTest, AFullDiskStopsOnlyWhatDestroys) {
  fs::create_symlink("/dev/full", log());
  RecordedAction ordinary(config_, {.command = "backup"}, warn());
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("missing from the audit log")));
  ordinary.end({}, warn());
  ordinary.copy({}, warn(), kNoStop);
  EXPECT_THAT(warnings_, SizeIs(1));
  try {
    const RecordedAction refused(config_, {.command = "delete", .effect = ActionEffect::kDestroys},
                                 warn());
    FAIL() << "it was allowed";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kHost);
    EXPECT_THAT(error.message(), HasSubstr("not run without an entry in the audit log"));
  }
}

}  // namespace
}  // namespace holdfast
