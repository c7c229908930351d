// Gathering evidence from what does not answer: it ends, and the rest is seen all the same.
#include "app/evidence.h"

#include <thread>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "app/evidence_parts.h"
#include "app/open.h"
#include "support/test_http_server.h"
#include "system/files.h"
#include "unit/app/config_testing.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

// Takes connections, and never says a word.
class MuteServer {
 public:
  MuteServer() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(socket_.get(), any, size), 0);
    EXPECT_EQ(::listen(socket_.get(), 100), 0);
    EXPECT_EQ(::getsockname(socket_.get(), any, &size), 0);
    port_ = ntohs(address.sin_port);
  }
  std::uint16_t port() const { return port_; }
  bool was_asked() const {
    pollfd entry{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    return ::poll(&entry, 1, 0) == 1;
  }

 private:
  FileDescriptor socket_;
  std::uint16_t port_ = 0;
};

class EvidenceTest : public ConfigTest {
 protected:
  void SetUp() override {
    for (const char* name : {"access", "secret"}) {
      test::write_text(folder_ / name, "x\n");
      fs::permissions(folder_ / name, fs::perms::owner_read | fs::perms::owner_write);
    }
    RepositoryConfig config;
    config.url = "file://" + (folder_ / "good").string();
    create_store(store_options(config));
    const auto store = open_store(store_options(config));
    Repository::create(*store, {.key = {}, .key_label = "", .holdfast_version = "test"}, {});
  }
  // A repository that is there, and one of a server that is mute.
  LoadedConfig config(std::uint16_t postgres_port, std::uint16_t s3_port) {
    return load(fmt::format(
        "cluster: demo\nstate_directory: {0}/state\n"
        "postgres: {{connection: 'host=127.0.0.1 port={1} dbname=x user=x'}}\n"
        "repositories:\n  - {{name: good, url: 'file://{0}/good'}}\n"
        "  - {{name: mute, url: 's3://b/x', endpoint: 'http://127.0.0.1:{2}', path_style: true,\n"
        "     credentials: {{access_key_file: {0}/access, secret_key_file: {0}/secret}}}}\n",
        folder_.path().string(), postgres_port, s3_port));
  }

  const MuteServer postgres_, s3_;
};

// One after the other, the second would not be asked before the time is up.
TEST_F(EvidenceTest, WhatHangsIsAskedSideBySideAndEnds) {
  const Evidence evidence =
      gather_evidence(config(postgres_.port(), s3_.port()), {.patience = 10min, .at_most = 3s}, {});
  ASSERT_TRUE(evidence.server.trouble);
  EXPECT_EQ(evidence.server.trouble->kind, ErrorKind::kPostgres);
  EXPECT_THAT(evidence.server.trouble->message, HasSubstr(kNotSeenInTime));
  ASSERT_THAT(evidence.repositories, SizeIs(2));
  EXPECT_EQ(evidence.repositories[0].name, "good");
  EXPECT_TRUE(evidence.repositories[0].opened);
  EXPECT_FALSE(evidence.repositories[0].trouble);
  ASSERT_TRUE(evidence.repositories[1].trouble);
  EXPECT_EQ(evidence.repositories[1].trouble->kind, ErrorKind::kRepository);
  EXPECT_THAT(evidence.repositories[1].trouble->message, HasSubstr(kNotSeenInTime));
  EXPECT_TRUE(postgres_.was_asked());
  EXPECT_TRUE(s3_.was_asked());
}

TEST_F(EvidenceTest, ARequestThatHangsEndsWithThePatience) {
  const Evidence evidence =
      gather_evidence(config(test::free_port(), s3_.port()),
                      {.repository = "mute", .patience = 1s, .at_most = 50s}, {});
  ASSERT_THAT(evidence.repositories, SizeIs(1));
  ASSERT_TRUE(evidence.repositories[0].trouble);
  EXPECT_THAT(evidence.repositories[0].trouble->message, Not(HasSubstr(kNotSeenInTime)));
  EXPECT_TRUE(evidence.server.trouble);
}

TEST_F(EvidenceTest, WhoeverStopsItNeedNotWait) {
  std::stop_source source;
  const std::jthread stopping([&] {
    while (!postgres_.was_asked() || !s3_.was_asked()) std::this_thread::sleep_for(10ms);
    source.request_stop();
  });
  try {
    gather_evidence(config(postgres_.port(), s3_.port()), {.patience = 10min, .at_most = 10min},
                    source.get_token());
    ADD_FAILURE() << "it was not stopped";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCancelled);
  }
}

// Of one that has taken long it is looked at when something was stored last: its begin, here.
TEST_F(EvidenceTest, SaysWhenALongBackupStoredSomething) {
  const LoadedConfig loaded = config(test::free_port(), s3_.port());
  {
    const auto opened = open_repository(loaded.config.repositories.front(), {});
    const HistoryRecord history =
        open_history(*opened, "demo", {.system_identifier = 7340123456789012345, .host = "db1"},
                     {.reason = HistoryReason::kInit}, {});
    const auto begin = [&](const std::string& id, std::chrono::hours ago) {
      write_begin(*opened, {"demo", history.name, {id}},
                  {.host = "db1", .started = to_rfc3339(system_clock().now() - ago)}, {});
    };
    begin("20260310T020000Z-0001", 3h);
    begin("20260310T040000Z-0002", 1h);
  }
  const Evidence evidence = gather_evidence(loaded, {.repository = "good"}, {});
  const auto& unfinished = evidence.repositories.at(0).unfinished;
  ASSERT_THAT(unfinished, SizeIs(2));
  ASSERT_TRUE(unfinished[0].last_stored);
  EXPECT_LT(evidence.now - *unfinished[0].last_stored, 5min);
  EXPECT_FALSE(unfinished[1].last_stored) << "it has not taken long";
}

// In one that was not seen there may be the proof of the drill that seems to be missing.
TEST_F(EvidenceTest, KnowsOfRareDrillsWhereAllRepositoriesWereSeen) {
  LoadedConfig loaded = config(test::free_port(), test::free_port());
  const auto knows = [&](const std::string& repository) {
    return gather_evidence(loaded,
                           {.depth = EvidenceDepth::kDoctor,
                            .repository = repository,
                            .patience = 1s,
                            .at_most = 50s},
                           {})
        .machine.knows_rare_drills;
  };
  EXPECT_FALSE(knows("")) << "one does not answer";
  EXPECT_FALSE(knows("good")) << "one was left out";
  loaded.config.repositories.pop_back();
  EXPECT_TRUE(knows(""));
}

// Else those who wait for it would do so until the time is up.
TEST(SharedSessionTest, IsSetHoweverTheLookAtTheServerEnds) {
  SharedSession session;
  bool told = false;
  {
    const std::jthread waiting(
        [&] { session.use({}, [&](const Session* given) { told = given == nullptr; }); });
    try {
      const SharedSession::SetAtLast at_last(session);
      EXPECT_FALSE(told);  // nobody writes it before the session is set
      throw std::runtime_error("a damaged disk");
    } catch (const std::runtime_error&) {  // the session is set by then
    }
  }
  EXPECT_TRUE(told);
}

}  // namespace
}  // namespace holdfast
