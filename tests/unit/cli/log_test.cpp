// `log`: what the program itself writes down, and what the command shows of it.
#include <csignal>
#include <filesystem>
#include <thread>

#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/open.h"
#include "cli/commands.h"
#include "cli/recorded.h"
#include "unit/cli/program_testing.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// With an encrypted repository in a folder, which `key add` can change without a server.
class LogTest : public ProgramTest {
 protected:
  void SetUp() override {
    private_file("first.key", std::string(64, 'a') + "\n");
    private_file("second.key", std::string(64, 'b') + "\n");
    RepositoryConfig config;
    config.url = "file://" + (folder_ / "repository").string();
    config.encryption.key_file = folder_ / "first.key";
    create_store(store_options(config));
    const auto store = open_store(store_options(config));
    Repository::create(
        *store,
        {.key = key_source(config.encryption), .key_label = "first", .holdfast_version = "test"},
        std::stop_token());
    configure(folder_ / "first.key");
  }

  void configure(const fs::path& key) const {
    test::write_text(
        folder_ / "a.yaml",
        fmt::format("cluster: demo\nstate_directory: {}\nrepositories:\n  - name: "
                    "hot\n    url: file://{}\n    encryption: {{key_file: {}}}\n",
                    (folder_ / "state").string(), (folder_ / "repository").string(), key.string()));
  }
  void private_file(const std::string& name, const std::string& text) const {
    test::write_text(folder_ / name, text);
    fs::permissions(folder_ / name, fs::perms::owner_read | fs::perms::owner_write);
  }
  void add_key() const {
    const auto added =
        json({"key", "add", "--key-file", (folder_ / "second.key").string(), "--label", "second"});
    EXPECT_TRUE(added["ok"].get<bool>()) << added.dump(2);
  }
  fs::path log() const { return folder_ / "state" / "audit.jsonl"; }
};

TEST_F(LogTest, ShowsWhoDidWhatAndHowItEnded) {
  add_key();
  json({"hold", "latest", "--until", "2999-01-01", "--reason", "audit"});
  const auto shown = json({"log", "--verify"});
  ASSERT_TRUE(shown["ok"].get<bool>()) << shown.dump(2);
  EXPECT_EQ(shown["warnings"], nlohmann::json::array());
  const auto& result = shown["result"];
  EXPECT_EQ(result["source"], "local");
  EXPECT_EQ(result["lines"], 4);
  EXPECT_EQ(result["verified"], true);
  EXPECT_EQ(result["findings"], nlohmann::json::array());
  ASSERT_THAT(result["actions"], SizeIs(2));
  const auto& held = result["actions"][1];
  std::vector<std::string> keys;
  for (const auto& [key, value] : held.items()) keys.push_back(key);
  EXPECT_THAT(keys, ElementsAre("action", "arguments", "began", "command", "duration_seconds",
                                "ended", "error", "exit", "host", "login", "pid", "reason",
                                "signal", "subject", "user"));
  EXPECT_EQ(result["actions"][0]["command"], "key add");
  EXPECT_EQ(result["actions"][0]["exit"], 0);
  EXPECT_TRUE(result["actions"][0]["error"].is_null());
  EXPECT_EQ(held["command"], "hold");
  EXPECT_EQ(held["reason"], "audit");
  EXPECT_THAT(held["arguments"], testing::Contains("--until"));
  EXPECT_NE(held["exit"], 0);
  EXPECT_NE(held["error"]["message"], "");
  EXPECT_TRUE(held["signal"].is_null());

  const auto copies = json({"--repo", "hot", "log", "--verify"});
  EXPECT_EQ(copies["result"]["source"], "repository");
  EXPECT_EQ(copies["result"]["actions"], result["actions"]);
  EXPECT_THAT(json({"log", "--since", "2999-01-01"})["result"]["actions"], SizeIs(0));
  EXPECT_THAT(json({"--repo", "hot", "log", "--since", "1h"})["result"]["actions"], SizeIs(2));
  const test::Outcome text = holdfast({"log"});
  EXPECT_THAT(text.out, HasSubstr("key add"));
  EXPECT_EQ(text.exit_code, 0);
}

TEST_F(LogTest, AChangedLineIsAnAnswerOfNo) {
  add_key();
  std::string text = test::read_text(log());
  text.replace(text.find("\"exit\":0"), 8, "\"exit\":3");
  test::write_text(log(), text);
  const auto shown = json({"log", "--verify"});
  EXPECT_EQ(shown["error"]["exit"], 1);
  EXPECT_EQ(shown["result"]["findings"][0], "line 2 was changed");
}

// The repository cannot be asked, so nobody knows whether the end is there: not "no", but
// "unknown".
TEST_F(LogTest, WithoutTheRepositoryTheEndIsNotProven) {
  add_key();
  fs::rename(folder_ / "repository", folder_ / "elsewhere");
  const auto shown = json({"log", "--verify"});
  EXPECT_EQ(shown["error"]["exit"], 4);
  EXPECT_EQ(shown["result"]["findings"], nlohmann::json::array());
  EXPECT_EQ(holdfast({"log"}).exit_code, 0);
}

// An address that takes connections and never says a word.
class SilentServer {
 public:
  SilentServer() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    if (::bind(socket_, any, size) != 0 || ::listen(socket_, 10) != 0 ||
        ::getsockname(socket_, any, &size) != 0) {
      throw std::runtime_error("no socket to listen on");
    }
    port_ = ntohs(address.sin_port);
  }
  SilentServer(const SilentServer&) = delete;
  SilentServer& operator=(const SilentServer&) = delete;
  ~SilentServer() { ::close(socket_); }
  int port() const { return port_; }

 private:
  int socket_, port_ = 0;
};

TEST_F(LogTest, ACommandThatWasKilledHasNoEnd) {
  const SilentServer server;
  test::write_text(folder_ / "a.yaml",
                   fmt::format("cluster: demo\nstate_directory: {}\nrepositories:\n  - {{name: "
                               "hot, url: s3://bucket, endpoint: \"http://127.0.0.1:{}\"}}\n",
                               (folder_ / "state").string(), server.port()));
  test::Command verify = command({"verify", "--all"});
  verify.environment["AWS_ACCESS_KEY_ID"] = "key";
  verify.environment["AWS_SECRET_ACCESS_KEY"] = "secret";
  test::Process hanging(verify);
  const auto limit = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!(fs::exists(log()) && test::read_text(log()).ends_with('\n')) &&
         std::chrono::steady_clock::now() < limit) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  hanging.send(SIGKILL);
  ASSERT_EQ(hanging.wait(std::chrono::minutes(1)).signal, SIGKILL);
  const auto actions = json({"log"})["result"]["actions"];
  ASSERT_THAT(actions, SizeIs(1));
  EXPECT_EQ(actions[0]["command"], "verify");
  EXPECT_TRUE(actions[0]["ended"].is_null());
  EXPECT_TRUE(actions[0]["exit"].is_null());
  EXPECT_THAT(holdfast({"log"}).out, HasSubstr("no end recorded"));
}

TEST_F(LogTest, AFullDiskStopsOnlyWhatDestroys) {
  fs::create_directory(folder_ / "state");
  fs::permissions(folder_ / "state", fs::perms::owner_all);
  fs::create_symlink("/dev/full", log());
  EXPECT_EQ(json({"delete", "latest", "--yes"})["error"]["exit"], 6);
  const auto added =
      json({"key", "add", "--key-file", (folder_ / "second.key").string(), "--label", "second"});
  EXPECT_TRUE(added["ok"].get<bool>());
  EXPECT_THAT(added["warnings"], ElementsAre(HasSubstr("missing from the audit log")));
}

TEST_F(LogTest, WhatOnlyLooksIsNotRecorded) {
  for (const char* word : {"list", "window", "log"}) json({word});
  json({"expire", "--dry-run"});
  json({"key", "list"});
  EXPECT_FALSE(fs::exists(log()));
}

TEST(Recorded, EveryCommandThatIsNotKnownToLookOnly) {
  std::vector<std::string> recorded;
  for (const cli::CommandSpec& command : cli::all_commands()) {
    if (cli::is_recorded(command, {})) recorded.push_back(command.name);
  }
  EXPECT_THAT(recorded,
              testing::IsSupersetOf({"init", "backup", "restore", "expire", "delete", "hold",
                                     "release", "key add", "key remove", "copy", "drill",
                                     "recover start", "recover check", "recover forward",
                                     "recover abandon", "recover connect", "undelete", "verify"}));
  const auto is_recorded = [](const std::string& name, const std::vector<std::string>& words) {
    for (const cli::CommandSpec& command : cli::all_commands()) {
      if (command.name == name) return cli::is_recorded(command, words);
    }
    cli::CommandSpec unknown;
    unknown.name = name;
    return cli::is_recorded(unknown, words);
  };
  EXPECT_TRUE(is_recorded("of tomorrow", {}));
  EXPECT_FALSE(is_recorded("expire", {"expire", "--dry-run"}));
  EXPECT_FALSE(is_recorded("expire", {"--repo=hot", "expire", "--yes", "--dry-run"}));
  EXPECT_TRUE(is_recorded("canary", {"canary", "--interval", "5s"}));
  EXPECT_FALSE(is_recorded("canary", {"canary", "--once"}));
  EXPECT_FALSE(is_recorded("checklist", {"checklist"}));
  EXPECT_TRUE(is_recorded("checklist", {"checklist", "--attest", "key", "--by", "Ada"}));
}

// A word that is the value of another option, or of a command that knows no such option.
TEST(Recorded, ADryRunIsNotBelievedWhereItIsAValue) {
  for (const cli::CommandSpec& command : cli::all_commands()) {
    if (command.name == "recover promote") {
      EXPECT_TRUE(cli::is_recorded(command, {"recover", "promote", "--lost", "--dry-run"}));
    }
    if (command.name == "delete") {
      EXPECT_TRUE(cli::is_recorded(command, {"delete", "x", "--reason", "--dry-run"}));
      EXPECT_TRUE(cli::is_recorded(command, {"--config", "--dry-run", "delete", "x", "--yes"}));
      EXPECT_FALSE(cli::is_recorded(command, {"delete", "x", "--dry-run"}));
    }
  }
}

TEST(Recorded, TheReasonIsWhatWasGiven) {
  EXPECT_EQ(cli::reason_in({"backup", "--reason", "a b", "x"}), "a b");
  EXPECT_EQ(cli::reason_in({"backup", "--reason=a"}), "a");
  EXPECT_EQ(cli::reason_in({"recover", "promote", "--lost", "fire"}), "fire");
  EXPECT_EQ(cli::reason_in({"backup", "--reason"}), "");
  EXPECT_EQ(cli::reason_in({"backup"}), "");
}

}  // namespace
}  // namespace holdfast
