// A PostgreSQL that recovers from S3: it stops in the middle while the archive cannot be read, and
// goes on where it was; and where it can be read, hardly a segment has to be waited for.
#include <regex>
#include <set>

#include "on_s3.h"
#include "seal/key_slot.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

// Puts shell words in front of what `restore` wrote as restore_command.
void run_before_each_get(const fs::path& data_directory, const std::string& words) {
  const fs::path settings = data_directory / "postgresql.auto.conf";
  const std::string text = read_text(settings);
  const std::string key = "\nrestore_command = '";
  const std::size_t at = ("\n" + text).rfind(key);
  ASSERT_NE(at, std::string::npos) << text;
  write_text(settings,
             text.substr(0, at + key.size() - 1) + words + text.substr(at + key.size() - 1));
}

class RecoveryFromS3 : public WalOnS3 {
 protected:
  // Rows 1, 2 and 3, each in a segment of its own, and a copy that is to have them.
  void begin_recovery() {
    begin();
    for (int n = 1; n <= 3; ++n) segments_.push_back(keep_in_a_segment(n));
    server().stop();
    target_ = holdfast().new_path();
    holdfast().restore(target_, {"--archive", "off"});
  }

  // The first segment is replayed, the second cannot be had: the server stops, and has not ended
  // its recovery.
  void expect_stops_in_the_middle(const std::string& said) {
    PostgresCluster restored = PostgresCluster::on(target_);
    if (restored.try_start()) {
      const auto until = std::chrono::steady_clock::now() + std::chrono::minutes(2);
      while (restored.running() && std::chrono::steady_clock::now() < until) {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      }
    }
    EXPECT_FALSE(restored.running());
    const std::string log = restored.log();
    EXPECT_NE(log.find("restored log file \"" + segments_.at(0)), std::string::npos) << log;
    EXPECT_EQ(log.find("restored log file \"" + segments_.at(1)), std::string::npos) << log;
    EXPECT_NE(log.find("exit code 255"), std::string::npos) << log;
    EXPECT_NE(log.find(said), std::string::npos) << log;
    EXPECT_EQ(log.find("archive recovery complete"), std::string::npos) << log;
    EXPECT_FALSE(fs::exists(target_ / "pg_wal" / "00000002.history"));
  }
  void expect_goes_on() { EXPECT_EQ(rows_of(start_recovered(target_)), "1 2 3"); }

  // From the second segment on, `file` has other content.
  void spoil_at_the_second_segment(const fs::path& file, const std::string& other) {
    good_ = read_text(file);
    const fs::path spoilt = holdfast().folder() / "spoilt";
    write_text(spoilt, other);
    give_to_server_user(spoilt);
    run_before_each_get(target_, fmt::format("test \"%f\" != {} || cat {} > {}; ", segments_.at(1),
                                             spoilt.string(), file.string()));
  }

  std::vector<std::string> segments_;
  fs::path target_;
  std::string good_;
};

TEST_F(RecoveryFromS3, StopsWhereAccessIsDeniedAndGoesOnWhenItIsGranted) {
  begin_recovery();
  {
    const Variable soon("HOLDFAST_WAL_TIMEOUT", "10s");
    deny(R"("s3:GetObject")", object_of(segments_.at(1)));
    expect_stops_in_the_middle("AccessDenied");
  }
  deny(R"("s3:PutBucketTagging")");
  expect_goes_on();
}

// Nothing is fetched ahead: a helper that has the right secret or key may well go on with it.
TEST_F(RecoveryFromS3, StopsWhenTheSecretIsWrongAndGoesOnWithTheRightOne) {
  begin_recovery();
  const Variable alone("HOLDFAST_WAL_PREFETCH", "0");
  const fs::path secret = holdfast().folder() / "secret";
  spoil_at_the_second_segment(secret, "another-secret-000000");
  {
    const Variable soon("HOLDFAST_WAL_TIMEOUT", "10s");
    expect_stops_in_the_middle("SignatureDoesNotMatch");
  }
  write_text(secret, good_);
  write_text(holdfast().folder() / "spoilt", good_);
  expect_goes_on();
}

TEST_F(RecoveryFromS3, StopsWhenTheKeyIsWrongAndGoesOnWithTheRightOne) {
  begin_recovery();
  const Variable alone("HOLDFAST_WAL_PREFETCH", "0");
  spoil_at_the_second_segment(holdfast().key_file(), format_key_file(Secret::random()));
  expect_stops_in_the_middle("key");
  write_text(holdfast().key_file(), good_);
  write_text(holdfast().folder() / "spoilt", good_);
  expect_goes_on();
}

// What archive-get says of itself is counted, for each segment that PostgreSQL asked for and got.
class CountedRecovery : public WalOnS3 {
 protected:
  static constexpr int kSegments = 200, kWaitsMax = 2;

  // `replay` stands for the time that replaying a segment takes.
  void expect_hardly_a_wait(int segment_mib, const std::string& replay = "") {
    begin(
        {.settings = {"max_wal_size = 16GB", "autovacuum = off"}, .wal_segment_mib = segment_mib});
    const std::string from = server().sql("select pg_current_wal_lsn()");
    server().sql("create table load (a int, t text)");
    for (int i = 0; segments_since(from, segment_mib) <= kSegments; ++i) {
      server().sql(
          fmt::format("insert into load select g, md5(g::text) from generate_series({}, {}) g",
                      i * kRows, (i + 1) * kRows - 1));
    }
    keep(1);
    archived_->archive();
    const std::string expected = content(server());
    const fs::path target = holdfast().new_path();
    holdfast().restore(target);
    // Only here: the setting as it is says nothing when all is well.
    const fs::path settings = target / "postgresql.auto.conf";
    write_text(settings, std::regex_replace(read_text(settings), std::regex(" archive-get "),
                                            " --output json archive-get "));
    if (!replay.empty()) run_before_each_get(target, replay);
    PostgresCluster restored = start_recovered(target);
    EXPECT_EQ(content(restored), expected);
    EXPECT_EQ(rows_of(restored), "1");
    const auto sources = sources_of_segments(restored.log());
    EXPECT_GE(sources.at("all"), kSegments);
    EXPECT_LE(sources.at("all") - sources.at("prefetched"), kWaitsMax)
        << "awaited: " << sources.at("awaited") << ", fetched: " << sources.at("repository");
    EXPECT_GE(sources.at("all") - sources.at("prefetched"), 1)
        << "the first is asked for before there is a helper: this counts nothing";
    RecordProperty("waits", sources.at("all") - sources.at("prefetched"));
  }

 private:
  static constexpr int kRows = 100'000;

  int segments_since(const std::string& lsn, int segment_mib) {
    return std::stoi(server().sql(fmt::format(
        "select ((pg_current_wal_lsn() - '{}'::pg_lsn) / {})::int", lsn, segment_mib << 20)));
  }
  static std::string content(const PostgresCluster& cluster) {
    return cluster.sql("select count(*) || ' ' || sum(a::bigint) || ' ' || max(t) from load");
  }
  static std::map<std::string, int> sources_of_segments(const std::string& log) {
    std::map<std::string, int> sources{
        {"all", 0}, {"prefetched", 0}, {"awaited", 0}, {"repository", 0}};
    const std::regex form(R"re("file": ?"([0-9A-F]{24})"[^}]*"source": ?"([a-z]+)")re");
    std::set<std::string> seen;  // the last one is asked for again when recovery has ended
    for (std::sregex_iterator found(log.begin(), log.end(), form), end; found != end; ++found) {
      if (!seen.insert((*found)[1]).second) continue;
      ++sources[(*found)[2]];
      ++sources["all"];
    }
    return sources;
  }
};

TEST_F(CountedRecovery, WaitsForTwoOfTwoHundredSegmentsAtMost) {
  expect_hardly_a_wait(1, "sleep 0.1; ");
}
TEST_F(CountedRecovery, WideWaitsForTwoOfTwoHundredSegmentsOfTheUsualSizeAtMost) {
  expect_hardly_a_wait(16);
}

}  // namespace
}  // namespace holdfast::test
