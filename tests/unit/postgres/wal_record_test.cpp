// Records, taken apart: what PostgreSQL 13 to 18 lay out differently, and everything that a record
// with a right CRC can still get wrong.

#include "postgres/wal_record.h"

#include <gtest/gtest.h>

#include "support/wal_maker.h"

namespace holdfast {
namespace {

using test::MadeRecord;
using test::RecordBody;

// A whole record with a right CRC.
Bytes whole(const Bytes& body, std::uint8_t manager = 10) {
  Encoder out;
  out.u32(static_cast<std::uint32_t>(24 + body.size()));
  out.u32(731);
  out.u64(0x1000028);
  out.u8(0x81);
  out.u8(manager);
  out.u16(0);
  out.u32(crc32c(out.view(), crc32c(body)));
  out.raw(body);
  return out.take();
}

WalRecord decode(const Bytes& bytes, int version = 15) {
  WalRecord record;
  decode_wal_record(bytes, version, record);
  return record;
}

struct Image {
  std::uint16_t length = 0;
  std::uint16_t hole_offset = 0;
  std::uint8_t flags = 0;
  std::optional<std::uint16_t> hole_length = {};
};

Bytes with_image(const Image& image) {
  RecordBody body;
  body.headers().u8(0);
  body.headers().u8(0x10);
  body.headers().u16(0);
  body.headers().u16(image.length);
  body.headers().u16(image.hole_offset);
  body.headers().u8(image.flags);
  if (image.hole_length) body.headers().u16(*image.hole_length);
  for (const std::uint32_t number : {1663U, 5U, 16'384U, 42U}) body.headers().u32(number);
  body.data().raw(Bytes(image.length, std::byte{3}));
  body.main(as_bytes("main"));
  return whole(body.take());
}

TEST(WalRecord, HeaderBlocksAndData) {
  RecordBody body;
  body.block(0, 1663, 5, 16'384, 0, 17);
  body.headers().u8(3);                // ids may leave some out
  body.headers().u8(0x80 | 0x60 | 2);  // same relation, will be initialised, has data; fork 2
  body.headers().u16(5);
  body.headers().u32(4'000'000'000U);
  body.data().raw(as_bytes("block"));
  body.headers().u8(253);
  body.headers().u16(9);
  body.headers().u8(252);
  body.headers().u32(730);
  body.main(as_bytes("the data"));
  const Bytes bytes = whole(body.take());
  const WalRecord record = decode(bytes);
  ASSERT_TRUE(record.decoded);
  EXPECT_EQ(record.length, bytes.size());
  EXPECT_EQ(record.xid, 731U);
  EXPECT_EQ(record.previous, Lsn{0x1000028});
  EXPECT_EQ(record.kind(), 0x80);
  EXPECT_TRUE(record.changes_files());
  EXPECT_EQ(record.manager, 10);
  EXPECT_EQ(record.origin, 9);
  EXPECT_EQ(record.top_level_xid, 730U);
  EXPECT_EQ(as_text(record.main_data), "the data");
  ASSERT_EQ(record.blocks().size(), 2U);
  EXPECT_EQ(record.blocks()[0].file, (RelationFile{1663, 5, 16'384}));
  EXPECT_EQ(record.blocks()[0].block, 17U);
  EXPECT_FALSE(record.blocks()[0].has_image);
  EXPECT_EQ(record.blocks()[1].file, (RelationFile{1663, 5, 16'384}));
  EXPECT_EQ(record.blocks()[1].fork, kVisibilityFork);
  EXPECT_EQ(record.blocks()[1].block, 4'000'000'000U);
  EXPECT_TRUE(record.blocks()[1].will_init);
}

TEST(WalRecord, LongDataAndNone) {
  const Bytes large(70'000, std::byte{1});
  EXPECT_EQ(decode(whole(RecordBody().main(large).take())).main_data.size(), large.size());
  const WalRecord empty = decode(whole({}));
  EXPECT_TRUE(empty.decoded);
  EXPECT_TRUE(empty.main_data.empty());
}

// The bit that says "compressed" in 13 and 14 says "to be restored" in 15, and the other way round.
TEST(WalRecord, ImagesOfEachVersion) {
  const Bytes compressed13 =
      with_image({.length = 100, .hole_offset = 24, .flags = 0x01 | 0x02, .hole_length = 4000});
  const Bytes plain15 = with_image({.length = 6000, .hole_offset = 24, .flags = 0x01 | 0x02});
  for (const int version : {13, 14}) {
    EXPECT_TRUE(decode(compressed13, version).decoded) << version;
    EXPECT_FALSE(decode(plain15, version).decoded) << version;
  }
  for (const int version : {15, 16, 17, 18}) {
    EXPECT_FALSE(decode(compressed13, version).decoded) << version;
    ASSERT_TRUE(decode(plain15, version).decoded) << version;
    EXPECT_TRUE(decode(plain15, version).blocks()[0].has_image);
    EXPECT_EQ(decode(plain15, version).blocks()[0].block, 42U);
    EXPECT_EQ(as_text(decode(plain15, version).main_data), "main");
    for (const std::uint8_t method : std::initializer_list<std::uint8_t>{0x04, 0x08, 0x10}) {
      EXPECT_TRUE(decode(with_image({.length = 100,
                                     .hole_offset = 24,
                                     .flags = static_cast<std::uint8_t>(0x01 | method),
                                     .hole_length = 4000}),
                         version)
                      .decoded);
      EXPECT_TRUE(decode(with_image({.length = 100, .flags = method}), version).decoded);
    }
  }
}

TEST(WalRecord, ImagesThatContradictThemselves) {
  EXPECT_TRUE(decode(with_image({.length = 8192})).decoded);
  EXPECT_FALSE(decode(with_image({.length = 8000})).decoded);  // where is the rest
  EXPECT_FALSE(decode(with_image({.length = 8192, .hole_offset = 8})).decoded);  // a hole, or none
  EXPECT_FALSE(decode(with_image({.length = 8192, .hole_offset = 8, .flags = 1})).decoded);
  EXPECT_FALSE(decode(with_image({.length = 100, .flags = 1})).decoded);      // at no place
  EXPECT_FALSE(decode(with_image({.length = 8192, .flags = 0x04})).decoded);  // saved nothing
  EXPECT_FALSE(decode(with_image({.length = 9000, .flags = 0x04})).decoded);
}

TEST(WalRecord, TopLevelTransactionsCameWith14) {
  RecordBody body;
  body.headers().u8(252);
  body.headers().u32(730);
  const Bytes bytes = whole(body.take());
  EXPECT_FALSE(decode(bytes, 13).decoded);
  EXPECT_EQ(decode(bytes, 14).top_level_xid, 730U);
}

TEST(WalRecord, NonsenseBehindARightCrcIsNotDecoded) {
  const auto refused = [](const Bytes& body) {
    const Bytes bytes = whole(body);
    EXPECT_TRUE(has_valid_wal_crc(bytes));
    const WalRecord record = decode(bytes);
    return !record.decoded && record.blocks().empty() && record.main_data.empty();
  };
  const auto block = [] { return RecordBody().block(1, 1663, 5, 16'384, 0, 17); };
  EXPECT_FALSE(refused(block().take()));
  EXPECT_TRUE(refused(block().block(1, 1, 1, 1, 0, 1).take())) << "the same id twice";
  EXPECT_TRUE(refused(block().block(0, 1, 1, 1, 0, 1).take())) << "ids go back";
  EXPECT_TRUE(refused(RecordBody().block(33, 1, 1, 1, 0, 1).take())) << "no such id";
  EXPECT_TRUE(refused(RecordBody().block(0, 1, 1, 1, 4, 1).take())) << "no such fork";
  EXPECT_TRUE(refused(RecordBody().block(0, 1, 1, 1, 0, 0xFFFFFFFF).take())) << "no such block";
  EXPECT_TRUE(refused(RecordBody().block(0, 1, 1, 1, 0x20, 1).take())) << "data of no bytes";
  EXPECT_TRUE(refused({std::byte{0}, std::byte{0x80}, std::byte{0}, std::byte{0}, std::byte{1},
                       std::byte{0}, std::byte{0}, std::byte{0}}))
      << "the relation of no block";
  Bytes body = block().main(as_bytes("data")).take();
  body.pop_back();
  EXPECT_TRUE(refused(body)) << "data too short";
  body = block().main(as_bytes("data")).take();
  body.push_back(std::byte{0});
  EXPECT_TRUE(refused(body)) << "data too long";
  EXPECT_TRUE(
      refused({std::byte{254}, std::byte{0xFF}, std::byte{0xFF}, std::byte{0xFF}, std::byte{0xFF}}))
      << "4 GiB of data";
  const Bytes cut = block().main(as_bytes("data")).take();
  constexpr std::size_t kBlockAlone = 20;
  for (std::size_t size = 1; size + 1 < cut.size(); ++size) {
    if (size == kBlockAlone) continue;
    EXPECT_TRUE(refused(Bytes(cut.begin(), cut.begin() + static_cast<std::ptrdiff_t>(size))))
        << size;
  }
}

TEST(WalRecord, ThirtyThreeBlocks) {
  RecordBody body;
  for (std::uint8_t id = 0; id < kMaxWalBlocks; ++id) body.block(id, 1663, 5, 16'384, 0, id);
  const WalRecord record = decode(whole(body.take()));
  ASSERT_TRUE(record.decoded);
  ASSERT_EQ(record.blocks().size(), kMaxWalBlocks);
  EXPECT_EQ(record.blocks().back().block, 32U);
}

TEST(WalRecord, EveryChangedBitBreaksTheCrc) {
  const Bytes good = whole(RecordBody().block(0, 1, 2, 3, 0, 4).main(as_bytes("data")).take());
  ASSERT_TRUE(has_valid_wal_crc(good));
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    EXPECT_FALSE(has_valid_wal_crc(bad)) << bit;
  }
  EXPECT_FALSE(has_valid_wal_crc(ByteView(good).first(23)));
  EXPECT_FALSE(has_valid_wal_crc({}));
}

}  // namespace
}  // namespace holdfast
