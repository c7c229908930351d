// Listing of stored segments as runs.
#include "repository/wal_listing.h"

#include <fstream>

#include <gtest/gtest.h>

#include "archive_maker.h"
#include "storage/metrics_store.h"
#include "storage/store_decorator.h"
#include "unit/storage/temporary_folder.h"

namespace holdfast::test {
namespace {

constexpr TimelineId kFirst{1};

// A page's worth at a time, as a bucket answers, and only what lies behind `after`.
class PagingStore final : public StoreDecorator {
 public:
  PagingStore(std::unique_ptr<ObjectStore> inner, std::size_t page)
      : StoreDecorator(std::move(inner)), page_(page) {}
  ListPage list(const ListRequest& request, const std::stop_token& stop) override {
    ListRequest small = request;
    small.limit = std::min(request.limit, page_);
    return inner().list(small, stop);
  }

 private:
  std::size_t page_;
};

TEST(WalListing, joins_segments_over_logs_and_pages_and_shows_what_is_missing) {
  for (const std::uint32_t mebibytes : {1U, 16U, 1024U}) {
    SCOPED_TRACE(mebibytes);
    const WalSegmentSize size{mebibytes << 20U};
    const std::uint64_t per_log = (std::uint64_t{1} << 32U) / size.bytes;
    const FolderRepository folder;
    auto store = folder.open();
    Repository::create(*store, {}, kNoStop);
    const WalPlace place{"demo", {1, 77}};
    const std::uint64_t last = per_log * 3 + 5;
    const std::set<std::uint64_t> missing{2, per_log - 1, per_log * 2, last - 1};
    for (std::uint64_t n = 1; n <= last; ++n) {
      if (missing.contains(n)) continue;
      store->put(names::wal_segment(place, {kFirst, n}, size), Bytes(n == last ? 7 : 3), {},
                 kNoStop);
    }
    // What lies between and is no segment.
    const std::string segment = names::wal_segment(place, {kFirst, per_log}, size);
    store->put(segment + ".partial-0011223344556677", Bytes(9), {}, kNoStop);
    store->put(segment + ".part-0011223344556677/0001", Bytes(9), {}, kNoStop);
    store->put(names::timeline_history(place, kFirst), Bytes(9), {}, kNoStop);

    const auto repository = Repository::open(std::make_unique<PagingStore>(std::move(store), 100),
                                             std::nullopt, kNoStop);
    const WalListing listing = list_wal(*repository, place, size, kNoStop);
    ASSERT_EQ(listing.timelines.size(), 1U);
    EXPECT_TRUE(listing.timelines[0].has_history_file);
    EXPECT_EQ(listing.timelines[0].segments(), last - missing.size());
    std::vector<std::uint64_t> absent;
    std::uint64_t expected = 1;
    for (const WalRun& run : listing.timelines[0].runs) {
      for (; expected < run.first; ++expected) absent.push_back(expected);
      expected = run.last + 1;
    }
    EXPECT_EQ(std::set(absent.begin(), absent.end()), missing);
    EXPECT_EQ(listing.timelines[0].runs.back().last, last);
    EXPECT_EQ(listing.timelines[0].runs.back().last_bytes, 7U);
    EXPECT_EQ(listing.timelines[0].runs.back().first_bytes, 7U);
    EXPECT_EQ(listing.timelines[0].runs.front().first_bytes, 3U);
  }
}

// A file of each name is enough: a listing opens nothing.
TEST(WalListing, a_hundred_thousand_segments_cost_about_a_hundred_requests) {
  const FolderRepository folder;
  auto store = folder.open();
  Repository::create(*store, {}, kNoStop);
  const WalPlace place{"demo", {1, 77}};
  const WalSegmentSize size{16U << 20U};
  for (std::uint64_t n = 300; n < 100'300; ++n) {
    const std::filesystem::path name = folder.root() / names::wal_segment(place, {kFirst, n}, size);
    if (n % 256 == 0 || n == 300) std::filesystem::create_directories(name.parent_path());
    if (n != 50'000) std::ofstream(name) << n;
  }
  const auto metrics = std::make_shared<StoreMetrics>();
  const auto repository =
      Repository::open(make_metrics_store(std::move(store), metrics), std::nullopt, kNoStop);
  const WalListing listing = list_wal(*repository, place, size, kNoStop);
  ASSERT_EQ(listing.timelines.size(), 1U);
  EXPECT_EQ(listing.timelines[0].runs,
            (std::vector<WalRun>{{300, 49'999, 3, 5}, {50'001, 100'299, 5, 6}}));
  EXPECT_LT(metrics->snapshot().of(StoreOperation::kList).requests, 120U);
}

TEST(WalListing, keeps_timelines_apart) {
  ArchiveMaker archive;
  archive.segments(kFirst, 1, 3);
  archive.segments({0x1F}, 3, 5);
  const WalListing listing = list_wal(*archive.opened, archive.place(), kMadeSegmentSize, kNoStop);
  ASSERT_EQ(listing.timelines.size(), 2U);
  EXPECT_EQ(find_timeline(listing, {0x1F})->runs.at(0).first, 3U);
  EXPECT_EQ(find_timeline(listing, {0x1F})->runs.at(0).last, 5U);
  EXPECT_EQ(find_timeline(listing, {2}), nullptr);
}

}  // namespace
}  // namespace holdfast::test
