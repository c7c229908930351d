// WAL summaries: names, both forms of chunks, damage. That the bytes mean what PostgreSQL means is
// shown by the suite "incremental", on real servers.
#include "postgres/wal_summary_file.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "postgres/crc32c.h"

namespace holdfast {
namespace {

struct Entry {
  RelationFile file;
  std::uint32_t fork = 0, limit = 0xFFFFFFFF;
  std::vector<std::vector<std::uint16_t>> chunks = {};  // as they are in the file
};

Bytes summary_of(const std::vector<Entry>& entries) {
  Encoder out;
  out.u32(0x652b137b);
  const auto head = [&](const Entry& entry) {
    for (const std::uint32_t value :
         {entry.file.tablespace, entry.file.database, entry.file.relation, entry.fork, entry.limit,
          static_cast<std::uint32_t>(entry.chunks.size())}) {
      out.u32(value);
    }
  };
  for (const Entry& entry : entries) {
    head(entry);
    for (const auto& chunk : entry.chunks) out.u16(static_cast<std::uint16_t>(chunk.size()));
    for (const auto& chunk : entry.chunks) {
      for (const std::uint16_t word : chunk) out.u16(word);
    }
  }
  head({.file = {}, .fork = 0, .limit = 0});
  Bytes content = out.take();
  Encoder crc;
  crc.u32(crc32c(content));
  content.insert(content.end(), crc.view().begin(), crc.view().end());
  return content;
}

TEST(WalSummaryFile, NamesAreThoseOfPostgresql) {
  const std::string text = "0000000A00000000015FD8A00000000001600028.summary";
  const auto name = parse_wal_summary_name(text);
  ASSERT_TRUE(name);
  EXPECT_EQ(*name, (WalSummaryName{{10}, {0x15FD8A0}, {0x1600028}}));
  EXPECT_EQ(to_string(*name), text);
  EXPECT_FALSE(parse_wal_summary_name("0000000a00000000015FD8A00000000001600028.summary"));
  EXPECT_FALSE(parse_wal_summary_name("0000000A00000000015FD8A000000000015FD8A0.summary"));
  EXPECT_FALSE(parse_wal_summary_name("temp.summary"));
}

TEST(WalSummaryFile, ListsAndBitmapsOfBlocksBecomeRuns) {
  std::vector<std::uint16_t> bitmap(4096, 0);
  bitmap[0] = 0x0003;     // 65536 and 65537
  bitmap[4095] = 0x8000;  // 131071
  const auto relations = parse_wal_summary(
      summary_of({{.file = {1663, 5, 1000}, .limit = 7, .chunks = {{9, 3, 4, 65535}, bitmap, {0}}},
                  {.file = {1663, 5, 0}, .limit = 0},
                  {.file = {1663, 5, 1000}, .fork = 2, .chunks = {{1}}}}));
  ASSERT_EQ(relations.size(), 3U);
  EXPECT_EQ(relations[0].blocks.runs,
            (std::vector<BlockRun>{{3, 2}, {9, 1}, {65535, 3}, {131071, 2}}));
  EXPECT_EQ(relations[0].cut_to, 7U);
  EXPECT_EQ(relations[1].cut_to, 0U);
  EXPECT_EQ(relations[2].blocks.fork, kVisibilityFork);
  EXPECT_EQ(relations[2].cut_to, std::nullopt);
}

TEST(WalSummaryFile, EveryChangedByteIsNoticed) {
  const Bytes good = summary_of({{.file = {1663, 5, 1000}, .limit = 7, .chunks = {{9, 3}}}});
  for (std::size_t i = 0; i < good.size(); ++i) {
    Bytes bad = good;
    bad[i] ^= std::byte{1};
    EXPECT_THROW(parse_wal_summary(bad), Error) << i;
  }
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_THROW(parse_wal_summary(ByteView(good).first(length)), Error) << length;
  }
}

TEST(WalSummaryFile, NumbersThatMakeNoSenseAreRefusedWithARightChecksum) {
  EXPECT_THROW(parse_wal_summary(summary_of({{.file = {1, 2, 3}, .fork = 4}})), Error);
  EXPECT_THROW(parse_wal_summary(
                   summary_of({{.file = {1, 2, 3}, .chunks = {std::vector<std::uint16_t>(5000)}}})),
               Error);
}

}  // namespace
}  // namespace holdfast
