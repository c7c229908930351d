// FileWriter on the file systems of this machine: the one of temporary files, where writes may go
// past the page cache, and one in memory, where they cannot.

#include "restore/file_writer.h"

#include <algorithm>
#include <map>
#include <random>
#include <stdexcept>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/error.h"
#include "support/temp_folder.h"

namespace holdfast {
namespace {

using test::TempFolder;
namespace fs = std::filesystem;

constexpr char kMemoryFolder[] = "/dev/shm";

Bytes some_bytes(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

bool is_in_memory(const fs::path& folder) {
  struct statfs about{};
  return ::statfs(folder.c_str(), &about) == 0 && about.f_type == TMPFS_MAGIC;
}

struct FileWriterTest : testing::TestWithParam<bool> {
  void SetUp() override {
    if (!GetParam()) return;
    ASSERT_TRUE(is_in_memory(kMemoryFolder));
    std::string name = std::string(kMemoryFolder) + "/hf-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    in_memory = name;
  }
  void TearDown() override {
    if (!in_memory.empty()) fs::remove_all(in_memory);
  }
  fs::path make(const std::string& name, std::uint64_t size) {
    const fs::path path = (GetParam() ? in_memory : folder.path()) / name;
    create_file(path, {.path = name, .mode = 0600, .size = size}, ownership);
    return path;
  }

  TempFolder folder;
  fs::path in_memory;
  Ownership ownership{{FileOwner{.uid = ::geteuid(), .gid = ::getegid()}}};
};
INSTANTIATE_TEST_SUITE_P(Folders, FileWriterTest, testing::Values(false, true),
                         [](const auto& tested) { return tested.param ? "Memory" : "Disk"; });

Bytes content_of(const fs::path& path) {
  const FileDescriptor fd = open_or_throw(path, O_RDONLY);
  Bytes bytes(fs::file_size(path));
  read_at(fd.get(), 0, bytes, path.native());
  return bytes;
}

std::uint64_t room_of(const fs::path& path) {
  struct stat about{};
  return ::stat(path.c_str(), &about) == 0 ? std::uint64_t(about.st_blocks) * 512 : 0;
}

bool in_page_cache(const fs::path& path, std::uint64_t offset) {
  const FileDescriptor fd = open_or_throw(path, O_RDONLY);
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* const at =
      ::mmap(nullptr, page, PROT_READ, MAP_SHARED, fd.get(), static_cast<off_t>(offset));
  if (at == MAP_FAILED) throw std::runtime_error("mmap failed");
  unsigned char present = 0;
  const int result = ::mincore(at, page, &present);
  ::munmap(at, page);
  if (result != 0) throw std::runtime_error("mincore failed");
  return (present & 1U) != 0;
}

// Runs of every kind: long and short, ending on no boundary, out of order, in two files by turns.
TEST_P(FileWriterTest, WritesEveryByteWhereItBelongs) {
  constexpr std::uint64_t kSize = 5 * kRunBytes + 3 * kBlockBytes + 77;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    std::map<fs::path, Bytes> expected{{make("a", kSize), some_bytes(kSize, seed)},
                                       {make("b", kSize), some_bytes(kSize, seed + 100)}};
    std::vector<std::pair<fs::path, std::uint64_t>> pieces;
    for (const auto& [path, bytes] : expected) {
      reserve_range(path, 0, kSize);
      for (std::uint64_t at = 0; at < kSize; at += 16 * kBlockBytes) pieces.emplace_back(path, at);
    }
    // In order at first, so that long runs come together, then in any order.
    const auto half = static_cast<std::ptrdiff_t>(pieces.size() / 2);
    std::shuffle(pieces.begin() + half, pieces.end(), random);
    FileWriter writer;
    for (const auto& [path, at] : pieces) {
      const std::size_t bytes = std::min<std::uint64_t>(16 * kBlockBytes, kSize - at);
      writer.write(path, at, ByteView(expected.at(path)).subspan(at, bytes));
    }
    writer.flush();
    for (const auto& [path, bytes] : expected) EXPECT_EQ(content_of(path), bytes) << path;
  }
}

TEST_P(FileWriterTest, OneWriteMayBeLongerThanARun) {
  const fs::path path = make("long", 4 * kRunBytes + 5);
  const Bytes bytes = some_bytes(3 * kRunBytes + 5, 1);
  FileWriter writer;
  writer.write(path, kRunBytes - kBlockBytes, bytes);
  writer.flush();
  const Bytes there = content_of(path);
  EXPECT_TRUE(
      std::ranges::equal(ByteView(there).subspan(kRunBytes - kBlockBytes, bytes.size()), bytes));
  EXPECT_TRUE(std::ranges::all_of(ByteView(there).first(kRunBytes - kBlockBytes),
                                  [](std::byte byte) { return byte == std::byte{0}; }));
}

// A resumed restore asks for what is there in between, also for what was only gathered yet.
TEST_P(FileWriterTest, HoldsSeesWhatWasGathered) {
  const fs::path path = make("resumed", 10 * kBlockBytes);
  const Bytes bytes = some_bytes(2 * kBlockBytes, 1);
  FileWriter writer;
  EXPECT_FALSE(writer.holds(path, 0, bytes));
  writer.write(path, 0, bytes);
  EXPECT_TRUE(writer.holds(path, 0, bytes));
  EXPECT_FALSE(writer.holds(path, kBlockBytes, bytes));
}

TEST_P(FileWriterTest, WhatIsNotFlushedIsDropped) {
  const fs::path path = make("dropped", kBlockBytes);
  const Bytes bytes = some_bytes(kBlockBytes, 1);
  {
    FileWriter().write(path, 0, bytes);
  }
  EXPECT_EQ(content_of(path), Bytes(kBlockBytes));
}

TEST_P(FileWriterTest, AMissingFileIsAnErrorWithItsPath) {
  FileWriter writer;
  try {
    writer.write("/nonexistent/file", 0, Bytes(10));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kHost);
    EXPECT_NE(std::string(error.what()).find("/nonexistent/file"), std::string::npos);
  }
}

TEST_P(FileWriterTest, HolesStayHoles) {
  const fs::path path = make("sparse", 64 * kRunBytes);
  const Bytes bytes = some_bytes(kRunBytes, 1);
  reserve_range(path, 8 * kRunBytes, bytes.size());
  FileWriter writer;
  writer.write(path, 8 * kRunBytes, bytes);
  writer.flush();
  EXPECT_GE(room_of(path), kRunBytes);
  EXPECT_LT(room_of(path), 2 * kRunBytes);
}

TEST_P(FileWriterTest, ReservedRoomReadsAsZeros) {
  const fs::path path = make("reserved", 4 * kRunBytes);
  reserve_range(path, kRunBytes, 2 * kRunBytes);
  EXPECT_EQ(fs::file_size(path), 4 * kRunBytes);
  EXPECT_EQ(content_of(path), Bytes(4 * kRunBytes));
}

// What the speed rests on: a long run does not lie in the page cache on file systems that allow it.
TEST_P(FileWriterTest, RestoredDataDoNotFillThePageCache) {
  const fs::path path = make("uncached", 8 * kRunBytes);
  struct statfs about{};
  ASSERT_EQ(::statfs(path.c_str(), &about), 0);
  const bool direct = about.f_type == EXT4_SUPER_MAGIC || about.f_type == XFS_SUPER_MAGIC;
  FileWriter writer;
  writer.write(path, 0, some_bytes(8 * kRunBytes, 1));
  writer.flush();
  EXPECT_EQ(in_page_cache(path, kRunBytes), !direct);
}

}  // namespace
}  // namespace holdfast
