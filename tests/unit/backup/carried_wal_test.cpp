// The WAL of a standalone backup: which segments, how much of the last, and what is refused.
#include "backup/carried_wal.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/temp_folder.h"
#include "support/wal_maker.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
constexpr WalSegmentSize kSize{1U << 20U};
constexpr std::uint64_t kFirst = 3;

class CarriedWalTest : public testing::Test {
 protected:
  CarriedWalTest() : maker_(15, kSize, Lsn{kFirst << 20U}) {
    start_ = maker_.add_filler(256);
    maker_.fill_segment_up_to(0);
    maker_.fill_segment_up_to(0);
    for (int i = 0; i < 40; ++i) maker_.add_filler(256);
    stop_ = maker_.position();
    for (int i = 0; i < 40; ++i) maker_.add_filler(256);  // written after the backup's stop
    for (std::uint64_t i = kFirst; i < kFirst + 3; ++i) write(i, maker_.segment(i));
  }

  std::string name(std::uint64_t number) const { return to_string(maker_.name(number), kSize); }
  void write(std::uint64_t number, ByteView content) {
    test::write_text(folder_ / name(number), as_text(content));
  }
  CarriedWalOptions options(TimelineId timeline = {1}) const {
    return {.wal_directory = folder_.path(),
            .timeline = timeline,
            .start = start_,
            .stop = stop_,
            .segment_size = kSize,
            .system_identifier = test::kMadeSystemIdentifier};
  }
  void expect_refused(std::uint64_t number, const std::string& why) {
    try {
      const CarriedWal carried(options());
      FAIL() << "taken: " << why;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kPostgres);
      EXPECT_EQ(error.object(), (folder_ / name(number)).string());
      EXPECT_NE(error.message().find(why), std::string::npos) << error.message();
      EXPECT_NE(error.hint().find("max_slot_wal_keep_size"), std::string::npos) << error.hint();
    }
  }

  test::TempFolder folder_;
  test::WalMaker maker_;
  Lsn start_, stop_;
};

TEST_F(CarriedWalTest, IsWholeUpToTheStopAndZeroBehindIt) {
  CarriedWal carried(options());
  ASSERT_EQ(carried.files().size(), 3U);
  for (std::uint64_t i = 0; i < 3; ++i) {
    const CarriedWal::File& file = carried.files()[i];
    EXPECT_EQ(file.path, "pg_wal/" + name(kFirst + i));
    ASSERT_EQ(file.size, kSize.bytes);
    Bytes found(file.size, std::byte{0xAA});
    // In two reads, the border of which is not the stop.
    const auto opened = carried.open(file.path);
    EXPECT_EQ(opened->read_at(0, MutableByteView(found).first(5000)), 5000U);
    EXPECT_EQ(opened->read_at(5000, MutableByteView(found).subspan(5000)), file.size - 5000);
    Bytes expected = maker_.segment(kFirst + i);
    if (i == 2) {
      const auto cut = static_cast<std::ptrdiff_t>(stop_.value % kSize.bytes);
      EXPECT_NE(expected[static_cast<std::size_t>(cut) + 100], std::byte{0}) << "nothing to cut";
      std::fill(expected.begin() + cut, expected.end(), std::byte{0});
    }
    EXPECT_EQ(found, expected) << i;
  }
}

TEST_F(CarriedWalTest, ThatIsMissingIsRefused) {
  fs::remove(folder_ / name(kFirst + 1));
  expect_refused(kFirst + 1, "removed");
}

TEST_F(CarriedWalTest, OfAnotherSizeIsRefused) {
  fs::resize_file(folder_ / name(kFirst), kSize.bytes / 2);
  expect_refused(kFirst, "size");
}

// PostgreSQL renames old segments to be written again: the name is right, the content is not.
TEST_F(CarriedWalTest, ThatWasRecycledIsRefused) {
  write(kFirst + 1, maker_.segment(kFirst));
  expect_refused(kFirst + 1, "");
}

TEST_F(CarriedWalTest, RecycledInItsMiddleIsRefused) {
  Bytes half = maker_.segment(kFirst + 1);
  const Bytes old = maker_.segment(kFirst);
  std::copy(old.begin() + kSize.bytes / 2, old.end(), half.begin() + kSize.bytes / 2);
  write(kFirst + 1, half);
  expect_refused(kFirst + 1, "");
}

TEST_F(CarriedWalTest, RecycledBehindTheStopIsTaken) {
  Bytes last = maker_.segment(kFirst + 2);
  std::fill(last.begin() + (64 << 10), last.end(), std::byte{0x55});
  write(kFirst + 2, last);
  EXPECT_EQ(CarriedWal(options()).files().size(), 3U);
}

TEST_F(CarriedWalTest, ThatBecomesShorterWhileItIsReadIsAnError) {
  CarriedWal carried(options());
  fs::resize_file(folder_ / name(kFirst), kSize.bytes / 2);
  const auto opened = carried.open("pg_wal/" + name(kFirst));
  Bytes out(kSize.bytes);
  EXPECT_THROW(opened->read_at(0, out), Error);
  fs::remove(folder_ / name(kFirst));
  EXPECT_THROW(carried.open("pg_wal/" + name(kFirst)), Error);
}

TEST_F(CarriedWalTest, OfALaterTimelineBringsItsHistory) {
  maker_.set_timeline({2});
  for (std::uint64_t i = kFirst; i < kFirst + 3; ++i) write(i, maker_.segment(i));
  EXPECT_THROW(CarriedWal{options({2})}, Error) << "its history is missing";
  test::write_text(folder_ / "00000002.history", "1\t0/300000\tno recovery target\n");
  CarriedWal carried(options({2}));
  ASSERT_EQ(carried.files().size(), 4U);
  Bytes text(31);
  for (const CarriedWal::File& file : carried.files()) {
    if (file.path != "pg_wal/00000002.history") continue;
    text.resize(file.size);
    EXPECT_EQ(carried.open(file.path)->read_at(0, text), text.size());
  }
  EXPECT_EQ(as_text(text), "1\t0/300000\tno recovery target\n");
}

}  // namespace
}  // namespace holdfast
