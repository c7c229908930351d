#include "wal/catch_up.h"

#include <algorithm>
#include <thread>

#include <gtest/gtest.h>

#include "repository/wal_mark.h"
#include "repository/wal_object.h"
#include "storage/folder_store.h"
#include "support/temp_folder.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
constexpr WalSegmentSize kSize{1U << 20U};
const ClusterIdentity kCluster{
    .system_identifier = 7340123456789012345ULL, .wal_segment_size = kSize, .host = "here"};

// Two repositories in folders, each with a key of its own.
class CatchUpConcurrent : public testing::Test {
 protected:
  struct Side {
    fs::path folder;
    KeyFile key;
  };

  CatchUpConcurrent() {
    for (const Side& side : sides_) make(side);
    fs::create_directories(folder_ / "wal");
  }

  void make(const Side& side) const {
    create_folder_root(side.folder);
    const auto store = make_folder_store(side.folder);
    Repository::create(*store, {.key = side.key, .holdfast_version = "test"}, {});
    register_cluster(*open(side), "demo", kCluster, {});
  }

  std::unique_ptr<Repository> open(const Side& side) const {
    return Repository::open(make_folder_store(side.folder), side.key, {});
  }
  const Side& first() const { return sides_[0]; }
  const Side& other() const { return sides_[1]; }
  WalPlace place() const { return {"demo", {1, kCluster.system_identifier}}; }

  static Bytes content_of(std::uint64_t number) {
    Bytes content(kSize.bytes);
    for (std::size_t i = 0; i < 5000; ++i) content[i] = static_cast<std::byte>(i * number + number);
    return content;
  }
  static SegmentName segment(std::uint64_t number) { return {{1}, number}; }

  void store(const Side& side, std::uint64_t number, const Bytes& content) const {
    Compressor compressor({});
    const WalIdentity identity{.file = wal_file_of(segment(number), kSize),
                               .system_identifier = kCluster.system_identifier,
                               .segment_size = kSize,
                               .bytes = content.size(),
                               .content_bytes = 5000,
                               .content = wal_content_hash(content)};
    const PackedWal packed{.identity = identity,
                           .index = pack_wal_index(compressor, std::nullopt),
                           .content = pack_wal_content(compressor, ByteView(content).first(5000))};
    ASSERT_EQ(put_wal(*open(side), place(), packed, {}), WalPut::kCreated);
  }
  void store_first(std::uint64_t number) const { store(first(), number, content_of(number)); }

  std::string object(std::uint64_t number) const {
    return names::wal_segment(place(), segment(number), kSize);
  }
  bool has(const Side& side, std::uint64_t number) const {
    Bytes content(kSize.bytes);
    std::size_t at = 0;
    const auto found =
        read_wal(*open(side), place(), wal_file_of(segment(number), kSize), object(number), {},
                 [&](ByteView piece) {
                   std::ranges::copy(piece, content.begin() + static_cast<std::ptrdiff_t>(at));
                   at += piece.size();
                 });
    return found && content == content_of(number);
  }

  CatchUp catch_up(std::string url = "other") {
    std::vector<ArchiveRepository> repositories;
    for (const Side& side : sides_) {
      const bool is_first = &side == &first();
      repositories.push_back(
          {.name = is_first ? "first" : "other",
           .url = is_first ? "first" : std::move(url),
           .open = [this, &side](const std::stop_token&) { return open(side); }});
    }
    archive_ = std::make_unique<Archive>("demo", std::move(repositories));
    return {*archive_, 1, {.state_directory = folder_.path(), .jobs = 2}};
  }

  TempFolder folder_;
  const std::array<Side, 2> sides_{Side{folder_ / "a", KeyFile{Secret(Bytes(32, std::byte{1}))}},
                                   Side{folder_ / "b", KeyFile{Secret(Bytes(32, std::byte{2}))}}};
  std::unique_ptr<Archive> archive_;
};

TEST_F(CatchUpConcurrent, CopiesWhatOnlyTheFirstHas) {
  for (const std::uint64_t number : {1, 2, 3, 300, 5000}) store_first(number);
  store(other(), 2, content_of(2));
  CatchUp copy = catch_up();
  EXPECT_TRUE(copy.round({}));
  for (const std::uint64_t number : {1, 2, 3, 300, 5000}) EXPECT_TRUE(has(other(), number));
  const auto lag = read_lag(folder_.path(), "other");
  ASSERT_TRUE(lag);
  EXPECT_EQ(lag->missing, 0U);
  EXPECT_FALSE(lag->behind_since);
  EXPECT_TRUE(catch_up().round({}));
}

TEST_F(CatchUpConcurrent, SaysHowFarBehindARepositoryIsThatCannotBeReached) {
  store_first(1);
  EXPECT_TRUE(catch_up().round({}));
  fs::rename(other().folder, folder_ / "away");
  for (const std::uint64_t number : {2, 3, 4}) store_first(number);
  EXPECT_FALSE(catch_up().round({}));
  const auto lag = read_lag(folder_.path(), "other");
  ASSERT_TRUE(lag);
  EXPECT_EQ(lag->missing, 3U);
  EXPECT_EQ(lag->oldest, object(2));
  EXPECT_TRUE(lag->behind_since);
  EXPECT_NE(lag->failure, "");
  EXPECT_NE(describe(*lag).find("lacks 3 WAL files"), std::string::npos);
  fs::rename(folder_ / "away", other().folder);
  EXPECT_TRUE(catch_up().round({}));
  for (const std::uint64_t number : {1, 2, 3, 4}) EXPECT_TRUE(has(other(), number));
  EXPECT_EQ(read_lag(folder_.path(), "other")->failure, "");
}

// Found in a review: the helper lives for long, and sealed WAL for the repository that had been
// there, under names that are never written again; a new helper believed what the old one had
// noted.
TEST_F(CatchUpConcurrent, GivesARepositoryThatWasMadeAnewItsOwnWal) {
  for (const std::uint64_t number : {1, 2, 3}) store_first(number);
  CatchUp copy = catch_up();
  EXPECT_TRUE(copy.round({}));
  fs::rename(other().folder, folder_ / "away");
  make(other());
  store_first(4);
  EXPECT_FALSE(copy.round({}));
  EXPECT_NE(copy.lag().failure.find("another repository has taken the place"), std::string::npos);
  for (const std::uint64_t number : {1, 2, 3, 4}) {
    EXPECT_FALSE(make_folder_store(other().folder)->head(object(number), {}));
  }
  EXPECT_TRUE(catch_up().round({}));
  for (const std::uint64_t number : {1, 2, 3, 4}) EXPECT_TRUE(has(other(), number));
}

// Found in a review: a second repository with a shorter retention got its expired WAL again, before
// what was new.
TEST_F(CatchUpConcurrent, DoesNotBringBackWhatTheOtherRetentionRemoves) {
  for (std::uint64_t number = 1; number <= 6; ++number) store_first(number);
  store(other(), 3, content_of(3));
  store(other(), 4, content_of(4));
  ASSERT_TRUE(write_wal_mark(*open(other()), place(), 1, {{1, 3}}, {}));  // 1 and 2 are gone
  EXPECT_TRUE(catch_up().round({}));
  const auto store = make_folder_store(other().folder);
  for (std::uint64_t number = 1; number <= 6; ++number) {
    EXPECT_EQ(store->head(object(number), {}).has_value(), number > 2) << number;
  }
  EXPECT_EQ(read_lag(folder_.path(), "other")->missing, 0U);
}

// Found in a review: a mark that nobody can read ended all catching up, for good.
TEST_F(CatchUpConcurrent, GoesOnWhereTheMarkOfWhatGoesIsDamaged) {
  for (const std::uint64_t number : {1, 2}) store_first(number);
  ASSERT_TRUE(write_wal_mark(*open(other()), place(), 1, {{1, 1}}, {}));
  const fs::path mark = other().folder / names::wal_mark(place(), 1);
  fs::permissions(mark, fs::perms::owner_all);
  write_text(mark, "not a mark");
  EXPECT_TRUE(catch_up().round({})) << read_lag(folder_.path(), "other")->failure;
  for (const std::uint64_t number : {1, 2}) EXPECT_TRUE(has(other(), number));
}

// Found in a review: a round of a thousand files asked once, before the first of them.
TEST_F(CatchUpConcurrent, AsksInTheMiddleOfARoundWhetherItIsTheSameRepository) {
  for (const std::uint64_t number : {1, 2, 3}) store_first(number);
  catch_up();  // makes the archive
  constexpr auto kLongerThanAnAnswerIsGood = 600ms;
  int copied = 0;
  CatchUp copy(*archive_, 1, {.state_directory = folder_.path(), .progressed = [&] {
                                if (++copied > 1) return;
                                fs::rename(other().folder, folder_ / "away");
                                make(other());
                                std::this_thread::sleep_for(kLongerThanAnAnswerIsGood);
                              }});
  EXPECT_FALSE(copy.round({}));
  EXPECT_EQ(copied, 1);
  EXPECT_NE(copy.lag().failure.find("another repository has taken the place"), std::string::npos);
}

TEST_F(CatchUpConcurrent, NeverReplacesOtherContent) {
  store_first(1);
  store(other(), 1, content_of(99));
  CatchUp copy = catch_up();
  EXPECT_FALSE(copy.round({}));
  EXPECT_FALSE(has(other(), 1));
  EXPECT_NE(read_lag(folder_.path(), "other")->failure.find("other content"), std::string::npos);
  const auto from = open(first());
  const auto to = open(other());
  EXPECT_EQ(copy_wal({*from, *to}, object(1), {}), WalCopy::kOtherContent);
  EXPECT_EQ(copy_wal({*from, *to}, object(7), {}), WalCopy::kGone);
}

// A first repository that was made anew, beside one that has the line from before.
TEST_F(CatchUpConcurrent, AddsNothingToAnotherLine) {
  for (const std::uint64_t number : {1, 2, 3, 4}) store_first(number);
  store(other(), 1, content_of(1));
  store(other(), 3, content_of(99));
  EXPECT_FALSE(catch_up().round({}));
  EXPECT_FALSE(has(other(), 2));
  EXPECT_FALSE(has(other(), 4));
  EXPECT_NE(read_lag(folder_.path(), "other")->failure.find(object(3)), std::string::npos);
}

// Far more than is compared anew each time, so that what is known is used.
TEST_F(CatchUpConcurrent, FindsWhatWasStoredOutOfOrder) {
  const std::uint64_t last = kRelistedObjects + 40;
  for (std::uint64_t number = 1; number <= last; ++number) {
    if (number != last - 20) store_first(number);
  }
  EXPECT_TRUE(catch_up().round({}));
  store_first(last - 20);
  EXPECT_TRUE(catch_up().round({}));
  EXPECT_TRUE(has(other(), last - 20));
  const auto lag = read_lag(folder_.path(), "other");
  EXPECT_EQ(lag->complete_until.begin()->second, object(last - 21 - kRelistedObjects));
}

TEST_F(CatchUpConcurrent, BeginsAnewForAnotherRepositoryOfTheSameName) {
  store_first(1);
  EXPECT_TRUE(catch_up().round({}));
  EXPECT_FALSE(catch_up().lag().complete_until.empty());
  EXPECT_TRUE(catch_up("elsewhere").lag().complete_until.empty());
  EXPECT_FALSE(catch_up("elsewhere").lag().compared);
}

TEST_F(CatchUpConcurrent, ReportsAHistoryThatTheOtherDoesNotKnow) {
  store_first(1);
  open_history(*open(first()), "demo",
               {.system_identifier = 99, .wal_segment_size = kSize, .host = "here"},
               {.reason = HistoryReason::kUpgrade}, {});
  const WalPlace second{"demo", {2, 99}};
  Compressor compressor({});
  const Bytes text = to_bytes(as_bytes("1\t0/5000000\tno recovery target\n"));
  const PackedWal packed{.identity = {.file = history_file_of({2}),
                                      .system_identifier = 99,
                                      .segment_size = kSize,
                                      .bytes = text.size(),
                                      .content_bytes = text.size(),
                                      .content = wal_content_hash(text)},
                         .index = pack_wal_index(compressor, std::nullopt),
                         .content = pack_wal_content(compressor, text)};
  put_wal(*open(first()), second, packed, {});
  EXPECT_FALSE(catch_up().round({}));
  EXPECT_NE(read_lag(folder_.path(), "other")->failure.find("0002-"), std::string::npos);
}

// Of a file in parts, no part may be missing once its object is there.
TEST_F(CatchUpConcurrent, CopiesPartsBeforeTheirObject) {
  Bytes content(kWalPartBytes + 1000, std::byte{5});
  Compressor compressor({});
  const PackedWal packed{.identity = {.file = wal_file_of(segment(1), kSize),
                                      .system_identifier = kCluster.system_identifier,
                                      .segment_size = kSize,
                                      .bytes = content.size(),
                                      .content_bytes = content.size(),
                                      .content = wal_content_hash(content)},
                         .index = pack_wal_index(compressor, std::nullopt),
                         .part = [&](std::uint32_t number) {
                           const std::size_t at = (number - 1) * kWalPartBytes;
                           return pack_wal_content(
                               compressor, ByteView(content).subspan(
                                               at, std::min(kWalPartBytes, content.size() - at)));
                         }};
  ASSERT_EQ(put_wal(*open(first()), place(), packed, {}), WalPut::kCreated);
  EXPECT_TRUE(catch_up().round({}));
  std::uint64_t bytes = 0;
  const auto found = read_wal(*open(other()), place(), packed.identity.file, object(1), {},
                              [&](ByteView piece) { bytes += piece.size(); });
  EXPECT_TRUE(found);
  EXPECT_EQ(bytes, content.size());
}

}  // namespace
}  // namespace holdfast::test
