// The set-up on S3: a real server (Ceph's gateway) over TLS, and servers that are not as they
// should be.
#include <map>
#include <mutex>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "storage/s3_store.h"
#include "suite.h"
#include "support/s3_server.h"
#include "support/test_http_server.h"
#include "system/http_client.h"

namespace holdfast::test {
namespace {

std::string status_of(const Answer& answer, const std::string& name) {
  for (const Json& finding : answer.result().at("findings")) {
    if (finding.at("name") == name) return finding.at("status");
  }
  return "none";
}

std::string http_date(std::chrono::seconds from_now) {
  const std::time_t time =
      std::chrono::system_clock::to_time_t(std::chrono::system_clock::now() + from_now);
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  std::array<char, 64> text{};
  const std::size_t size =
      std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text.data(), size};
}

// Stands before a server and tells another time than it.
class SkewingProxy {
 public:
  SkewingProxy(const std::string& upstream, std::chrono::seconds ahead)
      : upstream_(upstream),
        ahead_(ahead),
        client_({.proxy_use = ProxyUse::kNever}),
        server_([this](const TestRequest& request) { return forward(request); }) {}
  std::string url() const { return server_.url(); }

 private:
  TestAnswer forward(const TestRequest& request) {
    HttpRequest onward{.method = request.method,
                       .url = upstream_ + request.target,
                       .body = as_bytes(request.body),
                       .response_bytes_max = std::size_t{80} << 20U};
    for (const auto& [name, value] : request.headers) {
      if (name != "content-length" && name != "connection") onward.headers.push_back({name, value});
    }
    const HttpResponse response = client_.request(onward, std::stop_token());
    TestAnswer answer{.status = response.status, .body = std::string(as_text(response.body))};
    for (const HttpHeader& header : response.headers) {
      const bool own = header.name == "connection" || header.name == "transfer-encoding" ||
                       header.name == "date" || header.name == "content-length";
      if (!own || (header.name == "content-length" && request.method == "HEAD")) {
        answer.headers.emplace_back(header.name, header.value);
      }
    }
    answer.headers.emplace_back("Date", http_date(ahead_));
    return answer;
  }

  const std::string upstream_;
  const std::chrono::seconds ahead_;
  HttpClient client_;
  TestHttpServer server_;  // last: its threads use what stands above
};

// S3 as far as `init` needs it, but If-None-Match is ignored.
class OverwritingServer {
 public:
  OverwritingServer() : server_([this](const TestRequest& request) { return answer(request); }) {}
  std::string url() const { return server_.url(); }
  std::size_t objects() {
    const std::lock_guard lock(mutex_);
    return objects_.size();
  }

 private:
  TestAnswer answer(const TestRequest& request) {
    const std::lock_guard lock(mutex_);
    const std::string path = request.target.substr(0, request.target.find('?'));
    if (request.method == "PUT") {
      objects_[path] = request.body;
      return {.headers = {{"ETag", "\"1\""}}};
    }
    if (request.method == "POST") return remove(request.body);
    if (request.target.find("list-type") != std::string::npos) return list(request.target);
    const auto found = objects_.find(path);
    if (found == objects_.end()) return absent();
    return {.headers = {{"ETag", "\"1\""}, {"Last-Modified", http_date({})}},
            .body = found->second};
  }
  static TestAnswer absent() {
    return {.status = 404,
            .headers = {{"Content-Type", "application/xml"}},
            .body = "<Error><Code>NoSuchKey</Code><Message>none</Message></Error>"};
  }
  TestAnswer remove(const std::string& body) {
    std::erase_if(objects_, [&](const auto& object) {
      return body.find(object.first.substr(object.first.find('/', 1) + 1)) != std::string::npos;
    });
    return {.body = "<DeleteResult/>"};
  }
  // Prefix and delimiter hold nothing that a query encodes but '/'.
  static std::string query_value(const std::string& target, const std::string& name) {
    const std::size_t at = target.find(name + "=");
    if (at == std::string::npos) return "";
    std::string value = target.substr(at + name.size() + 1);
    value.erase(std::min(value.find('&'), value.size()));
    for (std::size_t slash = 0; (slash = value.find("%2F")) != std::string::npos;) {
      value.replace(slash, 3, "/");
    }
    return value;
  }
  TestAnswer list(const std::string& target) {
    const std::string prefix = query_value(target, "prefix");
    std::set<std::string> folders;
    std::string entries;
    for (const auto& [path, content] : objects_) {
      const std::string key = path.substr(path.find('/', 1) + 1);
      if (!key.starts_with(prefix)) continue;
      const std::size_t slash = key.find('/', prefix.size());
      if (!query_value(target, "delimiter").empty() && slash != std::string::npos) {
        folders.insert(key.substr(0, slash + 1));
        continue;
      }
      entries += fmt::format(
          "<Contents><Key>{}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
          "<ETag>1</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
          key, content.size());
    }
    for (const std::string& folder : folders) {
      entries += fmt::format("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", folder);
    }
    return {.headers = {{"Content-Type", "application/xml"}},
            .body =
                "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                "<IsTruncated>false</IsTruncated>" +
                entries + "</ListBucketResult>"};
  }

  std::mutex mutex_;
  std::map<std::string, std::string> objects_;  // by path
  TestHttpServer server_;
};

class SetupS3 : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto reason = S3Server::why_unavailable()) GTEST_SKIP() << *reason;
  }
  static HoldfastProgram program(const std::string& url) {
    return HoldfastProgram(small_cluster(), {.url = url, .s3 = &shared_s3_server()});
  }
  static Variables through(const std::string& endpoint) {
    return {{"HOLDFAST_REPOSITORIES_FIRST_ENDPOINT", endpoint}};
  }
};

TEST_F(SetupS3, WorksEndToEndOverTlsWithAnAuthorityOfOnesOwn) {
  S3Server server({.tls = true});
  server.create_bucket("secure");
  HoldfastProgram program(small_cluster(), {.url = "s3://secure/some/where", .s3 = &server});
  const std::string ca = program.folder() / "ca.crt";
  write_text(ca, read_text(server.ca_file()));
  give_to_server_user(ca);
  Variables tls = through(server.tls_endpoint());
  // Without the authority the server is a stranger, and is told nothing.
  EXPECT_EQ(program.run({"init"}, tls).outcome.exit_code, 4);
  tls["HOLDFAST_REPOSITORIES_FIRST_CA_FILE"] = ca;
  tls["HOLDFAST_REPOSITORIES_FIRST_STORAGE_CLASS_DATA"] = "STANDARD_IA";
  EXPECT_EQ(program.must({"init"}, tls).at("exclusive_create"), true);
  const Answer check = program.run({"check"}, tls);
  EXPECT_TRUE(check.ok()) << check.text();
  const std::string id = program.must({"backup"}, tls).at("id");
  EXPECT_EQ(program.must({"list"}, tls).at("backups").at(0).at("id"), id);
  const std::filesystem::path target = program.new_path();
  program.must({"restore", "--to", target.string()}, tls);
  PostgresCluster restored = start_restored(target);
  EXPECT_EQ(restored.sql("select count(*) > 0 from pg_class"), "t");

  std::size_t data = 0;
  std::size_t other = 0;
  const auto store = make_s3_store(server.store_options("secure", "some/where"));
  for_each_object(*store, "", {}, [&](const ObjectInfo& object) {
    const bool pack = object.name.find("/pack/") != std::string::npos;
    if (pack) {
      EXPECT_EQ(object.storage_class, "STANDARD_IA") << object.name;
    }
    ++(object.storage_class == "STANDARD_IA" ? data : other);
  });
  EXPECT_GT(data, 0U);
  EXPECT_GT(other, 2U);  // descriptor, history, manifest, outcome
}

TEST_F(SetupS3, RepoOnlyProvesTheServer) {
  const Answer answer = program(new_bucket_url()).run({"check", "--repo-only"});
  EXPECT_TRUE(answer.ok()) << answer.text();
  EXPECT_EQ(answer.result().at("conforms"), true);
}

TEST_F(SetupS3, AMissingBucketExitsWith4) {
  HoldfastProgram missing = program("s3://no-such-bucket/x");
  for (const std::string command : {"init", "list", "backup"}) {
    const Answer answer = missing.run({command});
    EXPECT_EQ(answer.outcome.exit_code, 4) << answer.text();
    EXPECT_NE(answer.text().find("no-such-bucket"), std::string::npos) << answer.text();
  }
  EXPECT_EQ(missing.run({"check", "--repo-only"}).outcome.exit_code, 4);
  const Answer check = missing.run({"check"});
  EXPECT_EQ(check.outcome.exit_code, 1);
  EXPECT_EQ(status_of(check, "repository"), "failed");
}

TEST_F(SetupS3, AWrongSecretExitsWith4AndIsNotShown) {
  HoldfastProgram program = SetupS3::program(new_bucket_url());
  const std::string wrong = program.folder() / "wrong";
  write_text(wrong, "notthesecret");
  std::filesystem::permissions(
      wrong, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  give_to_server_user(wrong);
  const Answer answer =
      program.run({"init"}, {{"HOLDFAST_REPOSITORIES_FIRST_CREDENTIALS_SECRET_KEY_FILE", wrong}});
  EXPECT_EQ(answer.outcome.exit_code, 4) << answer.text();
  EXPECT_EQ(answer.text().find("notthesecret"), std::string::npos);
}

TEST_F(SetupS3, AServerClockThatIsOffFailsTheCheckAndOnlyWarnsInBackups) {
  HoldfastProgram program = SetupS3::program(new_bucket_url());
  program.init();
  EXPECT_EQ(program.must({"backup"}).at("type"), "full");
  for (const std::chrono::hours ahead : {std::chrono::hours(1), std::chrono::hours(-1)}) {
    const SkewingProxy proxy(shared_s3_server().endpoint(), ahead);
    const Answer check = program.run({"check"}, through(proxy.url()));
    EXPECT_EQ(check.outcome.exit_code, 1) << check.text();
    EXPECT_EQ(status_of(check, "clock"), "failed");
    EXPECT_EQ(check.result().at("failed"), 1) << check.text();
    const Answer backup = program.run({"backup"}, through(proxy.url()));
    EXPECT_TRUE(backup.ok()) << backup.text();
    EXPECT_NE(backup.document.at("warnings").dump().find("clock"), std::string::npos)
        << backup.text();
  }
  const Answer sound = program.run({"backup"});
  EXPECT_EQ(sound.document.at("warnings").dump().find("clock"), std::string::npos);
}

TEST(SetupOverwritingServer, IsRefusedUnlessNobodyElseWrites) {
  OverwritingServer server;
  HoldfastProgram program(small_cluster(), {.url = "s3://bucket/x"});
  Variables variables{{"HOLDFAST_REPOSITORIES_FIRST_ENDPOINT", server.url()},
                      {"HOLDFAST_REPOSITORIES_FIRST_REGION", "us-east-1"},
                      {"HOLDFAST_REPOSITORIES_FIRST_PATH_STYLE", "true"},
                      {"AWS_ACCESS_KEY_ID", "id"},
                      {"AWS_SECRET_ACCESS_KEY", "secret"}};
  const Answer refused = program.run({"init"}, variables);
  EXPECT_EQ(refused.outcome.exit_code, 3) << refused.text();
  EXPECT_NE(refused.error().find("exclusive_writer"), std::string::npos);
  EXPECT_EQ(server.objects(), 0U);

  variables["HOLDFAST_REPOSITORIES_FIRST_EXCLUSIVE_WRITER"] = "true";
  const Answer alone = program.run({"init"}, variables);
  ASSERT_TRUE(alone.ok()) << alone.text();
  EXPECT_EQ(alone.result().at("repository_created"), true);
  EXPECT_EQ(alone.result().at("exclusive_create"), false);
  // The promise is part of using that repository, not of creating it alone.
  variables.erase("HOLDFAST_REPOSITORIES_FIRST_EXCLUSIVE_WRITER");
  EXPECT_EQ(program.run({"init"}, variables).outcome.exit_code, 3);
}

}  // namespace
}  // namespace holdfast::test
