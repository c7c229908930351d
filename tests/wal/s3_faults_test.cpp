// Archiving to and recovery from S3 over a network that loses answers, cuts them off, delays them,
// and a server that fails: what was acknowledged is there, byte by byte, and nothing else is given
// to PostgreSQL.
#include <atomic>
#include <mutex>
#include <random>

#include "on_s3.h"
#include "support/chaos_proxy.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

constexpr int kSegments = 24;

// A fault for each fourth request or so, while it is on.
class Weather {
 public:
  explicit Weather(unsigned seed) : random_(seed) {}

  Chaos choose(const TestRequest&) {
    constexpr std::array kFaults{Chaos::kLoseAnswer,  Chaos::kTruncate,       Chaos::kSlowDown,
                                 Chaos::kServerError, Chaos::kErrorInside200, Chaos::kRefuse,
                                 Chaos::kDelay};
    constexpr int kOneIn = 4;
    const std::lock_guard lock(mutex_);
    if (!bad || random_() % kOneIn != 0) return Chaos::kNone;
    ++faults_;
    return kFaults.at(random_() % kFaults.size());
  }
  int faults() const { return faults_; }

  std::atomic<bool> bad = false;

 private:
  std::mutex mutex_;
  std::mt19937 random_;
  std::atomic<int> faults_ = 0;
};

class FaultsOnS3 : public WalOnS3 {
 protected:
  void SetUp() override {
    WalOnS3::SetUp();
    if (IsSkipped()) return;
    const char* const given = std::getenv("HOLDFAST_TEST_SEED");
    seed_ = given == nullptr ? std::random_device{}()
                             : static_cast<unsigned>(std::strtoull(given, nullptr, 10));
    weather_.emplace(seed_);
    proxy_.emplace(s3().endpoint(), [this](const TestRequest& r) { return weather_->choose(r); });
    acknowledged_ = keeping_ / "acknowledged";
    fs::create_directory(acknowledged_);
    give_to_server_user(keeping_.path());
  }

  // Archives, and keeps a copy of every file whose archiving was acknowledged.
  void begin_keeping() {
    begin({.wal_segment_mib = 1});
    holdfast().settings().s3 = nullptr;
    holdfast().settings().repository_lines = {
        "    endpoint: " + proxy_->url(), "    region: us-east-1", "    path_style: true",
        fmt::format("    credentials: {{access_key_file: {0}/access, secret_key_file: {0}/secret}}",
                    holdfast().folder().string())};
    holdfast().must({"config", "check"});  // writes the configuration
    const std::string push = server().sql("show archive_command");
    const std::string copy = (keeping_ / "copy").string();
    server().sql(fmt::format(
        "alter system set archive_command = 'cp \"%p\" {0}-%f && {1} && mv {0}-%f {2}/%f'", copy,
        push, acknowledged_.string()));
    server().sql("select pg_reload_conf()");
  }

  std::vector<std::string> segments() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(acknowledged_)) {
      names.push_back(entry.path().filename());
    }
    return names;
  }
  // Exit 0 with the bytes that were acknowledged; while the weather is bad, 255 as well.
  void expect_acknowledged_or_unknown(const std::string& file) {
    const Outcome got = archived_->get(file);
    if (weather_->bad && got.exit_code == 255) return;
    ASSERT_EQ(got.exit_code, 0) << file << got.err;
    EXPECT_TRUE(read_text(server().data_directory() / "pg_wal/RECOVERYXLOG") ==
                read_text(acknowledged_ / file))
        << file << ": other bytes";
  }

  unsigned seed_ = 0;
  std::optional<Weather> weather_;
  std::optional<ChaosProxy> proxy_;
  TempFolder keeping_;
  fs::path acknowledged_;
};

TEST_F(FaultsOnS3, NoAcknowledgedSegmentIsLostOrAltered) {
  SCOPED_TRACE(fmt::format("HOLDFAST_TEST_SEED={}", seed_));
  const Variable alone("HOLDFAST_WAL_PREFETCH", "0");
  begin_keeping();
  server().sql("create table load (t text)");
  weather_->bad = true;
  for (int n = 1; n <= kSegments; ++n) {
    keep(n);
    server().sql("insert into load select md5(random()::text) from generate_series(1, 3000)");
    server().sql("select pg_switch_wal()");
  }
  archived_->archive();
  EXPECT_GT(weather_->faults(), kSegments / 8) << "nothing was put in the way";
  for (const std::string& file : segments()) expect_acknowledged_or_unknown(file);
  EXPECT_NE(archived_->get("0000000100000000000000F0").exit_code, 0);

  std::string rows;
  for (int n = 1; n <= kSegments; ++n) rows += (n > 1 ? " " : "") + std::to_string(n);
  EXPECT_EQ(rows_after({}), rows);

  weather_->bad = false;
  EXPECT_GE(segments().size(), static_cast<std::size_t>(kSegments));
  for (const std::string& file : segments()) expect_acknowledged_or_unknown(file);
}

}  // namespace
}  // namespace holdfast::test
