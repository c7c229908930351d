// PageGuard: rereads, excuses, damage, numbering of blocks, patience.
#include "backup/page_guard.h"

#include <gtest/gtest.h>

#include "postgres/data_files.h"
#include "postgres/page.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kStart = 0x2000, kInsert = 0x5000;

// A page in PostgreSQL's layout with a good checksum for `block`.
Bytes good_page(std::uint64_t lsn, std::uint32_t block) {
  Bytes page(kPageBytes, std::byte{0x11});
  const auto put = [&](std::size_t at, std::uint64_t value, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) page[at + i] = std::byte(value >> (8 * i));
  };
  put(0, lsn >> 32U, 4);
  put(4, lsn & 0xffffffffU, 4);
  put(14, 8000, 2);  // pd_upper: not new
  put(8, page_checksum(page, block), 2);
  return page;
}

Bytes torn(Bytes page) {
  std::fill(page.begin() + 4096, page.end(), std::byte{0x22});
  return page;
}

// Answers reads with its pages in turn; the last one again and again.
class PagesInTurn final : public SourceFile {
 public:
  explicit PagesInTurn(std::vector<Bytes> pages) : pages_(std::move(pages)) {}
  std::size_t read_at(std::uint64_t offset, MutableByteView out) override {
    offsets.push_back(offset);
    const Bytes& page = pages_[std::min(reads_++, pages_.size() - 1)];
    std::copy_n(page.begin(), std::min(page.size(), out.size()), out.begin());
    return std::min(page.size(), out.size());
  }
  std::vector<std::uint64_t> offsets;

 private:
  std::vector<Bytes> pages_;
  std::size_t reads_ = 0;
};

class PageGuardTest : public testing::Test {
 protected:
  PageGuard::Findings check(PagesInTurn& file, Bytes& data, std::uint64_t offset = 0,
                            const std::string& path = "base/1/100") {
    guard_.check(file, path, *parse_relation_file(path), offset, data);
    return guard_.findings();
  }
  int pauses_ = 0;
  PageGuard guard_{{.backup_start = Lsn{kStart},
                    .insert_position = [] { return Lsn{kInsert}; },
                    .pause = [this](int) { ++pauses_; }}};
};

TEST_F(PageGuardTest, GoodAndNewPagesAreNotReadAgain) {
  Bytes data = good_page(0x1000, 0);
  data.resize(2 * kPageBytes);  // the second one is new
  PagesInTurn file({good_page(0x1000, 0)});
  const auto found = check(file, data);
  EXPECT_EQ(found.damaged_pages + found.excused_pages, 0U);
  EXPECT_TRUE(file.offsets.empty());
}

TEST_F(PageGuardTest, TornPageIsReplacedByWhatALaterReadGave) {
  const Bytes good = good_page(0x3000, 5);
  Bytes data = torn(good);
  PagesInTurn file({torn(good), torn(good), good});
  const auto found = check(file, data, 5 * kPageBytes);
  EXPECT_EQ(found.damaged_pages + found.excused_pages, 0U);
  EXPECT_EQ(data, good);
  EXPECT_EQ(file.offsets, (std::vector<std::uint64_t>(3, 5 * kPageBytes)));
  EXPECT_EQ(pauses_, 3) << "it must give the writer time";
}

struct Judged {
  std::uint64_t lsn;
  bool excused;
};
class PageGuardLsn : public PageGuardTest, public testing::WithParamInterface<Judged> {};

TEST_P(PageGuardLsn, DecidesAboutAPageThatStaysBad) {
  Bytes data = torn(good_page(GetParam().lsn, 0));
  PagesInTurn file({data});
  const auto found = check(file, data);
  EXPECT_EQ(found.excused_pages, GetParam().excused ? 1U : 0U);
  EXPECT_EQ(found.damaged_pages, GetParam().excused ? 0U : 1U);
  EXPECT_GE(file.offsets.size(), 3U);
}

INSTANTIATE_TEST_SUITE_P(Lsn, PageGuardLsn,
                         testing::Values(Judged{0, false}, Judged{kStart - 1, false},
                                         Judged{kStart, true}, Judged{kInsert, true},
                                         Judged{kInsert + 1, false},
                                         Judged{0x123456789abcdef0, false}),
                         [](const auto& given) { return "At" + std::to_string(given.param.lsn); });

TEST_F(PageGuardTest, BlocksAreNumberedOverAllFilesOfTheRelationAndReportedWithinTheFile) {
  // Block 3 of the second file is block 131075 of the relation; that is in the checksum.
  Bytes data = good_page(0x1000, 131075);
  PagesInTurn file({data});
  EXPECT_EQ(check(file, data, 3 * kPageBytes, "base/1/100.1").damaged_pages, 0U);
  const auto found = check(file, data, 3 * kPageBytes, "base/1/100");
  ASSERT_EQ(found.damaged_pages, 1U);
  EXPECT_EQ(found.damaged[0].path, "base/1/100");
  EXPECT_EQ(found.damaged[0].block, 3U);
}

TEST_F(PageGuardTest, PartOfAPageAtTheEndIsNotJudged) {
  Bytes data(kPageBytes / 2, std::byte{7});
  PagesInTurn file({data});
  EXPECT_EQ(check(file, data).damaged_pages, 0U);
}

TEST_F(PageGuardTest, TruncatedMeanwhileIsJudgedByWhatWasReadFirst) {
  Bytes data = torn(good_page(0x3000, 0));
  const Bytes before = data;
  PagesInTurn file({Bytes{}});
  EXPECT_EQ(check(file, data).excused_pages, 1U);
  EXPECT_EQ(data, before);
}

TEST_F(PageGuardTest, ABadlyDamagedRelationDoesNotHoldTheBackupUp) {
  constexpr std::size_t kPages = 1500;
  Bytes data(kPages * kPageBytes, std::byte{0x33});
  PagesInTurn file({Bytes(kPageBytes, std::byte{0x33})});
  const auto found = check(file, data);
  EXPECT_EQ(found.damaged_pages, kPages) << "every one is counted";
  EXPECT_EQ(found.damaged.size(), kMaxBadPages) << "not every one is named";
  EXPECT_LE(pauses_, 1000);
  EXPECT_LE(file.offsets.size(), 2 * kPages + 1000);
}

}  // namespace
}  // namespace holdfast
