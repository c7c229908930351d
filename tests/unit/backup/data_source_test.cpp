// A backup's reads and the page cache: what was not in it before does not stay, what was does.

#include "backup/data_source.h"

#include <algorithm>
#include <fstream>
#include <random>
#include <stdexcept>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backup/file_sealer.h"
#include "support/temp_folder.h"
#include "system/files.h"

namespace holdfast {
namespace {

using test::TempFolder;
namespace fs = std::filesystem;

constexpr std::size_t kCachePage = 4096;
constexpr std::size_t kBlocks = 515;  // no whole number of chunks
constexpr std::size_t kBlocksInChunk = kChunkPlainBytes / kBlockBytes;

struct DataSourceCacheTest : testing::Test {
  void SetUp() override {
    std::mt19937_64 random(7);
    for (std::byte& byte : content) byte = static_cast<std::byte>(random());
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(content.data()),
               static_cast<std::streamsize>(content.size()));
    fd = open_or_throw(path, O_RDONLY);
    ASSERT_EQ(::fsync(fd.get()), 0);
    ASSERT_EQ(::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED), 0);
    // As the server reads: one block, and nothing ahead of it.
    ASSERT_EQ(::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_RANDOM), 0);
    ASSERT_TRUE(cached().empty());
  }

  void serve(std::size_t block) {
    Bytes bytes(kBlockBytes);
    read_at(fd.get(), block * kBlockBytes, bytes, path.native());
  }

  void back_up(SourceFile& file, std::size_t first, std::size_t count) {
    Bytes bytes(count * kBlockBytes);
    ASSERT_EQ(file.read_at(first * kBlockBytes, bytes), bytes.size());
    EXPECT_TRUE(
        std::ranges::equal(bytes, ByteView(content).subspan(first * kBlockBytes, bytes.size())));
  }

  // The blocks that are in the page cache.
  std::vector<std::size_t> cached() const {
    void* const at = ::mmap(nullptr, content.size(), PROT_READ, MAP_SHARED, fd.get(), 0);
    if (at == MAP_FAILED) throw std::runtime_error("mmap failed");
    std::vector<unsigned char> pages(content.size() / kCachePage);
    const int result = ::mincore(at, content.size(), pages.data());
    ::munmap(at, content.size());
    if (result != 0) throw std::runtime_error("mincore failed");
    std::vector<std::size_t> blocks;
    for (std::size_t i = 0; i < pages.size(); i += kBlockBytes / kCachePage) {
      if ((pages[i] & 1U) != 0) blocks.push_back(i * kCachePage / kBlockBytes);
    }
    return blocks;
  }

  TempFolder folder;
  fs::path path = folder.path() / "relation";
  Bytes content = Bytes(kBlocks * kBlockBytes);
  FileDescriptor fd;
  std::unique_ptr<DataSource> source = open_data_directory(folder.path());
};

using Blocks = std::vector<std::size_t>;

TEST_F(DataSourceCacheTest, ScatteredBlocksDoNotStayAndTheServersDo) {
  for (const std::size_t block : {40, 200, 300}) serve(block);
  const auto file = source->open("relation");
  for (const std::size_t block : {3, 40, 70, 200, 260, 400}) back_up(*file, block, 1);
  EXPECT_EQ(cached(), (Blocks{40, 200, 300}));
}

// The kernel drops whole folios only, and so leaves some at the edges of what is dropped.
constexpr std::size_t kLeft = 4 * kBlocksInChunk;

TEST_F(DataSourceCacheTest, AWholeFileDoesNotStay) {
  const auto file = source->open("relation");
  for (std::size_t at = 0; at < kBlocks; at += kBlocksInChunk) {
    back_up(*file, at, std::min(kBlocksInChunk, kBlocks - at));
  }
  EXPECT_LE(cached().size(), kLeft);
}

TEST_F(DataSourceCacheTest, LongReadsAfterAShortOneLeaveTheServersBlocks) {
  constexpr std::size_t kServed = 2 * kBlocksInChunk + 5;
  serve(kServed);
  const auto file = source->open("relation");
  back_up(*file, 1, 1);
  for (std::size_t at = kBlocksInChunk; at < kBlocks; at += kBlocksInChunk) {
    back_up(*file, at, std::min(kBlocksInChunk, kBlocks - at));
  }
  const Blocks found = cached();
  EXPECT_TRUE(std::ranges::find(found, kServed) != found.end());
  EXPECT_LE(found.size(), kBlocksInChunk + kLeft);
}

}  // namespace
}  // namespace holdfast
