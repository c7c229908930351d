// Files that vanish, grow, shrink and tear while a backup reads them. A decorator around the real
// file access provokes each at exactly the right moment.
#include <atomic>
#include <fstream>
#include <functional>

#include <fmt/format.h>

#include "app/open.h"
#include "backup/backup.h"
#include "postgres/page.h"
#include "suite.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

struct Moves {
  std::function<void(const std::string& path, SourceStat&)> on_stat = [](auto&&...) {};
  // False: it has vanished.
  std::function<bool(const std::string& path)> on_open = [](auto&&...) { return true; };
  // May change what was read and how much it was.
  std::function<void(const std::string& path, std::uint64_t offset, MutableByteView read,
                     std::size_t& count)>
      on_read = [](auto&&...) {};
};

class MovingFile final : public SourceFile {
 public:
  MovingFile(std::unique_ptr<SourceFile> inner, std::string path, const Moves& moves)
      : inner_(std::move(inner)), path_(std::move(path)), moves_(moves) {}
  std::size_t read_at(std::uint64_t offset, MutableByteView out) override {
    std::size_t count = inner_->read_at(offset, out);
    moves_.on_read(path_, offset, out.first(count), count);
    return count;
  }

 private:
  std::unique_ptr<SourceFile> inner_;
  std::string path_;
  const Moves& moves_;
};

class MovingSource final : public DataSource {
 public:
  MovingSource(std::unique_ptr<DataSource> inner, const Moves& moves)
      : inner_(std::move(inner)), moves_(moves) {}
  std::vector<std::string> list(const std::string& folder) override { return inner_->list(folder); }
  std::optional<SourceStat> stat(const std::string& path) override {
    auto found = inner_->stat(path);
    if (found) moves_.on_stat(path, *found);
    return found;
  }
  std::optional<SourceStat> stat_target(const std::string& path) override {
    return inner_->stat_target(path);
  }
  std::unique_ptr<SourceFile> open(const std::string& path) override {
    if (!moves_.on_open(path)) return nullptr;
    auto file = inner_->open(path);
    if (file == nullptr) return nullptr;
    return std::make_unique<MovingFile>(std::move(file), path, moves_);
  }

 private:
  std::unique_ptr<DataSource> inner_;
  const Moves& moves_;
};

constexpr std::uint64_t kBigBytes = (std::uint64_t{64} << 20U) + 3'000'001;

class MovingFiles : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    cluster_ = std::make_unique<PostgresCluster>(
        ClusterOptions{.settings = {"autovacuum = off", "checkpoint_timeout = 1h"}});
    const fs::path data = cluster_->data_directory();
    std::string big;
    for (std::uint64_t i = 0; big.size() < kBigBytes; ++i) big += fmt::format("line {}\n", i);
    big.resize(kBigBytes);
    write_text(data / "big", big);
    write_text(data / "little", std::string(5000, 'l'));
    give_to_server_user(data);
    cluster_->start();
    cluster_->sql(
        "create table pages (g int, filler text);"
        "insert into pages select g, repeat('x', 1000) from generate_series(1, 2000) g");
    cluster_->sql("vacuum freeze pages");
    cluster_->sql("checkpoint");
    relation_ = cluster_->sql("select pg_relation_filepath('pages')");
  }
  static void TearDownTestSuite() { cluster_.reset(); }

  BackupInfo take(const Moves& moves) {
    holdfast_.init();
    BackupResult result;
    {
      const auto repository =
          Repository::open(open_store({.url = holdfast_.settings().url}), std::nullopt, {});
      NullProgress progress;
      result = take_backup(*repository,
                           {.cluster = "demo",
                            .connection = cluster_->connection(),
                            .data_directory = cluster_->data_directory(),
                            .state_directory = holdfast_.state_directory(),
                            .jobs = 2,
                            .host = host_name(),
                            .holdfast_version = "test",
                            .wrap_source =
                                [&](std::unique_ptr<DataSource> inner) {
                                  return std::make_unique<MovingSource>(std::move(inner), moves);
                                }},
                           progress, {});
    }
    give_to_server_user(holdfast_.folder());
    return result.info;
  }

  // Restores it, and holds everything in the server against the source.
  fs::path restore_and_compare() {
    const fs::path target = holdfast_.new_path();
    holdfast_.restore(target);
    PostgresCluster restored = start_restored(target);
    EXPECT_EQ(differences(content_of(*cluster_), content_of(restored)), std::vector<std::string>{});
    restored.stop();
    EXPECT_EQ(check_page_checksums(restored), "");
    return target;
  }

  static inline std::unique_ptr<PostgresCluster> cluster_;
  static inline std::string relation_;
  HoldfastProgram holdfast_{*cluster_};
};

// Spoils the second half of one block of the relation, in reads chosen by `when`.
std::function<void(const std::string&, std::uint64_t, MutableByteView, std::size_t&)> tear(
    const std::string& relation, std::uint64_t block, std::function<bool()> when) {
  return [=](const std::string& path, std::uint64_t offset, MutableByteView read, std::size_t&) {
    const std::uint64_t at = block * kPageBytes;
    if (path != relation || at < offset || at + kPageBytes > offset + read.size()) return;
    if (!when()) return;
    const MutableByteView page = read.subspan(at - offset, kPageBytes);
    std::ranges::fill(page.subspan(kPageBytes / 2), std::byte{0x5a});
  };
}

TEST_F(MovingFiles, VanishedBetweenListAndOpenAreLeftOut) {
  Moves moves;
  moves.on_open = [](const std::string& path) { return path != "little"; };
  take(moves);
  const fs::path target = restore_and_compare();
  EXPECT_FALSE(fs::exists(target / "little"));
  EXPECT_EQ(fs::file_size(target / "big"), kBigBytes);
}

TEST_F(MovingFiles, VanishedBetweenTwoSlicesAreLeftOut) {
  Moves moves;
  std::atomic<int> opened = 0;
  moves.on_open = [&](const std::string& path) { return path != "big" || ++opened != 2; };
  take(moves);
  EXPECT_EQ(opened, 2);
  const fs::path target = restore_and_compare();
  EXPECT_FALSE(fs::exists(target / "big"));
  EXPECT_EQ(read_text(target / "little"), std::string(5000, 'l'));
}

TEST_F(MovingFiles, GrownAreReadUpToTheSizeTheyWereListedWith) {
  Moves moves;
  moves.on_stat = [](const std::string& path, SourceStat& stat) {
    if (path == "big") stat.size = 1'000'000;
    if (path == "little") stat.size = 10;
  };
  take(moves);
  const fs::path target = restore_and_compare();
  EXPECT_EQ(read_text(target / "big"),
            read_text(cluster_->data_directory() / "big").substr(0, 1'000'000));
  EXPECT_EQ(read_text(target / "little"), std::string(10, 'l'));
}

TEST_F(MovingFiles, ShrunkAreFilledUpWithZeros) {
  Moves moves;
  constexpr std::uint64_t kLeft = 2'000'123;
  moves.on_read = [](const std::string& path, std::uint64_t offset, MutableByteView,
                     std::size_t& count) {
    if (path == "little") count = 0;
    if (path != "big") return;
    count = offset >= kLeft ? 0 : std::min<std::size_t>(count, kLeft - offset);
  };
  take(moves);
  const fs::path target = restore_and_compare();
  const std::string big = read_text(target / "big");
  EXPECT_EQ(big.size(), kBigBytes);
  EXPECT_EQ(big.substr(0, kLeft), read_text(cluster_->data_directory() / "big").substr(0, kLeft));
  EXPECT_EQ(big.find_first_not_of('\0', kLeft), std::string::npos);
  EXPECT_EQ(read_text(target / "little"), std::string(5000, '\0'));
}

TEST_F(MovingFiles, RelationShrunkAndTruncatedByTheServerIsReplayed) {
  // Truncated between list and read: the WAL has the truncation.
  cluster_->sql("create table cut as select g, repeat('y', 1000) from generate_series(1, 500) g");
  cluster_->sql("checkpoint");
  const std::string cut = cluster_->sql("select pg_relation_filepath('cut')");
  Moves moves;
  std::atomic<bool> done = false;
  moves.on_open = [&](const std::string& path) {
    if (path == cut && !done.exchange(true)) {
      cluster_->sql("delete from cut");
      cluster_->sql("vacuum cut");
    }
    return true;
  };
  const BackupInfo info = take(moves);
  EXPECT_TRUE(done);
  EXPECT_EQ(info.damaged_pages, 0U);
  restore_and_compare();
  cluster_->sql("drop table cut");
}

TEST_F(MovingFiles, PageTornForAMomentIsReadAgainAndNotReported) {
  Moves moves;
  std::atomic<int> reads = 0;
  moves.on_read = tear(relation_, 7, [&] { return ++reads <= 5; });
  const BackupInfo info = take(moves);
  EXPECT_EQ(reads, 6);
  EXPECT_EQ(info.damaged_pages, 0U);
  EXPECT_EQ(info.excused_pages, 0U);
  restore_and_compare();
}

TEST_F(MovingFiles, PageThatStaysTornButWasWrittenSinceTheStartIsExcusedAndMendedByReplay) {
  Moves moves;
  std::atomic<bool> written = false;
  moves.on_open = [&](const std::string& path) {
    if (path == relation_ && !written.exchange(true)) {
      // Block 7, in place: its new LSN lies behind the start.
      cluster_->sql("update pages set g = g where ctid = '(7,1)'");
      cluster_->sql("checkpoint");
    }
    return true;
  };
  moves.on_read = tear(relation_, 7, [] { return true; });
  const BackupInfo info = take(moves);
  EXPECT_EQ(info.damaged_pages, 0U);
  ASSERT_EQ(info.excused_pages, 1U);
  EXPECT_EQ(info.excused.at(0).path, relation_);
  EXPECT_EQ(info.excused.at(0).block, 7U);
  restore_and_compare();
}

TEST_F(MovingFiles, BadPageOfOldIsDamage) {
  Moves moves;
  moves.on_read = tear(relation_, 9, [] { return true; });
  const BackupInfo info = take(moves);
  EXPECT_EQ(info.excused_pages, 0U);
  ASSERT_EQ(info.damaged_pages, 1U);
  EXPECT_EQ(info.damaged.at(0).path, relation_);
  EXPECT_EQ(info.damaged.at(0).block, 9U);
}

TEST(DamagedCluster, IsBackedUpAndReported) {
  PostgresCluster cluster;
  cluster.start();
  cluster.sql(
      "create table spoilt as select g, repeat('z', 1000) from generate_series(1, 500) g;"
      "checkpoint");
  const std::string relation = cluster.sql("select pg_relation_filepath('spoilt')");
  cluster.stop();
  {
    std::fstream file(cluster.data_directory() / relation,
                      std::ios::in | std::ios::out | std::ios::binary);
    for (const int block : {3, 11}) {
      file.seekp(block * 8192 + 5000);
      file.put('!');
    }
  }
  cluster.start();
  HoldfastProgram holdfast(cluster);
  holdfast.init();
  const Answer answer = holdfast.run({"backup"});
  ASSERT_TRUE(answer.ok()) << answer.text();
  const Json& backup = answer.result();
  EXPECT_EQ(backup.at("damaged_pages"), 2);
  EXPECT_EQ(backup.at("damaged").at(0).at("path"), relation);
  EXPECT_EQ(backup.at("damaged").at(0).at("block"), 3);
  EXPECT_EQ(backup.at("damaged").at(1).at("block"), 11);
  EXPECT_NE(answer.document.at("warnings").dump().find(relation + " block 3"), std::string::npos)
      << answer.document.at("warnings");
  const Answer strict = holdfast.run({"backup", "--fail-on-damage"});
  EXPECT_EQ(strict.outcome.exit_code, 1) << strict.text();
  EXPECT_EQ(strict.kind(), "damage");
  EXPECT_EQ(holdfast.listed().size(), 2U) << "a backup of a damaged cluster is better than none";
}

}  // namespace
}  // namespace holdfast::test
