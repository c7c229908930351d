#include "postgres/control_file.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "postgres/crc32c.h"
#include "support/temp_folder.h"

namespace holdfast {
namespace {

// A control file as version 15 lays it out, every field that is read with a value of its own. The
// suite postgres_server compares with the files of real servers.
Bytes make_control_file(std::uint32_t control_version, std::size_t crc_at) {
  Bytes file(kControlFileBytes);
  const auto u32 = [&](std::size_t at, std::uint32_t value) { store_le(file.data() + at, value); };
  const auto u64 = [&](std::size_t at, std::uint64_t value) { store_le(file.data() + at, value); };
  u64(0, 0xF123456789ABCDEFU);
  u32(8, control_version);
  u32(12, 202209061);
  u32(16, 6);
  u64(32, 0x1600000060U);
  u64(40, 0x1600000028U);
  u32(48, 7);
  u64(136, 0x1700000001U);
  u32(144, 6);
  u32(172, 2);
  u32(216, 8192);
  u32(220, 131072);
  u32(224, 4096);
  u32(228, 64U << 20U);
  u32(252, 1);
  u32(crc_at, crc32c(ByteView(file).first(crc_at)));
  return file;
}
Bytes version_15() {
  return make_control_file(1300, 288);
}

ErrorKind kind_of(ByteView content) {
  try {
    parse_control_file(content);
  } catch (const Error& error) {
    return error.kind();
  }
  return ErrorKind::kBug;
}

TEST(ControlFile, ReadsEveryField) {
  const ControlFile file = parse_control_file(version_15());
  EXPECT_EQ(file.system_identifier, 0xF123456789ABCDEFU);
  EXPECT_EQ(file.control_version, 1300U);
  EXPECT_EQ(file.catalog_version, 202209061U);
  EXPECT_EQ(file.state, ClusterState::kInProduction);
  EXPECT_EQ(file.checkpoint, Lsn{0x1600000060U});
  EXPECT_EQ(file.checkpoint_redo, Lsn{0x1600000028U});
  EXPECT_EQ(file.checkpoint_timeline, TimelineId{7});
  EXPECT_EQ(file.minimum_recovery_point, Lsn{0x1700000001U});
  EXPECT_EQ(file.minimum_recovery_timeline, TimelineId{6});
  EXPECT_EQ(file.wal_level, 2);
  EXPECT_EQ(file.block_size, 8192U);
  EXPECT_EQ(file.relation_segment_blocks, 131072U);
  EXPECT_EQ(file.wal_block_size, 4096U);
  EXPECT_EQ(file.wal_segment_size, WalSegmentSize{64U << 20U});
  EXPECT_EQ(file.data_checksum_version, 1U);
}

TEST(ControlFile, KnowsTheLayoutsOf17And18) {
  EXPECT_EQ(parse_control_file(make_control_file(1700, 288)).control_version, 1700U);
  EXPECT_EQ(parse_control_file(make_control_file(1800, 292)).control_version, 1800U);
  EXPECT_EQ(kind_of(make_control_file(1800, 288)), ErrorKind::kDamage);
}

TEST(ControlFile, EveryFlippedBitInFrontOfTheChecksumIsNoticed) {
  const Bytes good = version_15();
  for (std::size_t at = 0; at < 292; ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      Bytes bad = good;
      bad[at] ^= static_cast<std::byte>(1U << bit);
      const bool in_version = at >= 8 && at < 12;
      ASSERT_EQ(kind_of(bad), in_version ? ErrorKind::kRefused : ErrorKind::kDamage) << at;
    }
  }
}

TEST(ControlFile, OfAnUnknownVersionIsRefused) {
  EXPECT_EQ(kind_of(make_control_file(1201, 288)), ErrorKind::kRefused);
  EXPECT_EQ(kind_of(make_control_file(1900, 292)), ErrorKind::kRefused);
}

TEST(ControlFile, CutOffAnywhereIsAnErrorAndReadsNothingBehindItsEnd) {
  const Bytes good = version_15();
  for (std::size_t size = 0; size < 296; ++size) {
    const Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
    ASSERT_EQ(kind_of(cut), ErrorKind::kDamage) << size;
  }
}

TEST(ControlFile, ImpossibleValuesUnderAGoodChecksumAreDamage) {
  for (const auto& [at, value] : {std::pair{16U, 7U}, {228U, 3U << 20U}, {228U, 0U}}) {
    Bytes file = version_15();
    store_le(file.data() + at, value);
    store_le(file.data() + 288, crc32c(ByteView(file).first(288)));
    EXPECT_EQ(kind_of(file), ErrorKind::kDamage) << at;
  }
}

TEST(ControlFile, IsReadFromADataDirectory) {
  const test::TempFolder folder;
  std::filesystem::create_directory(folder / "global");
  const Bytes content = version_15();
  test::write_text(folder / "global/pg_control", as_text(content));
  const ControlFileImage image = read_control_file(folder.path());
  EXPECT_EQ(image.content, content);
  EXPECT_EQ(image.parsed.checkpoint_timeline, TimelineId{7});
}

TEST(ControlFile, DamageInADataDirectoryIsSaidAfterRereading) {
  const test::TempFolder folder;
  std::filesystem::create_directory(folder / "global");
  Bytes content = version_15();
  content[100] ^= std::byte{1};
  test::write_text(folder / "global/pg_control", as_text(content));
  try {
    read_control_file(folder.path());
    FAIL() << "damage was not noticed";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kDamage);
  }
}

TEST(ControlFile, MissingOneIsAnErrorOfTheHost) {
  const test::TempFolder folder;
  try {
    read_control_file(folder.path());
    FAIL() << "nothing was there to read";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kHost);
  }
}

}  // namespace
}  // namespace holdfast
