// Window: the content of a backup in memory comes to its places in files, whatever is there.

#include "restore/window.h"

#include <algorithm>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/temp_folder.h"
#include "unit/repository/repository_testing.h"

namespace holdfast {
namespace {

using namespace test;
namespace fs = std::filesystem;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20U;
constexpr std::uint64_t kPart = std::uint64_t{256} << 10U;

std::vector<TestFile> some_files() {
  return {{"1", 9 * kMiB + 8192, numbered_content},
          {"2", 70 * kMiB,  // two slices; zeros but for each eighth part and the end
           [](std::uint64_t at, std::size_t length) {
             return at / kPart % 8 == 3 || at > 66 * kMiB ? numbered_content(at + 5, length)
                                                          : Bytes{};
           }},
          {"3", 100, numbered_content},
          {"4", 0},
          {"5", kMiB}};
}

Bytes expected_of(const TestFile& file) {
  Bytes whole;
  for (std::uint64_t at = 0; at < file.size; at += kPart) {
    const std::size_t length = std::min(kPart, file.size - at);
    Bytes part = file.content ? file.content(at, length) : Bytes{};
    part.resize(length);
    whole.insert(whole.end(), part.begin(), part.end());
  }
  return whole;
}

class WindowConcurrent : public testing::Test {
 protected:
  void SetUp() override {
    write_backup(*repository_.open(), some_files());
    for (const TestFile& file : some_files()) {
      create_file(folder_ / file.path, {.path = file.path, .mode = 0600, .size = file.size},
                  Ownership({FileOwner{.uid = ::geteuid(), .gid = ::getegid()}}));
    }
  }

  void restore(const Repository& repository, bool compare_first, std::stop_token stop = {}) {
    ChunkReader chunks(repository.store(), repository.keys(), "demo");
    const CatalogueEntry entry = list_backups(repository, "demo", kNoStop).at(0);
    Manifest manifest(read_manifest(repository, entry.outcome, chunks.registry(), kNoStop), chunks);
    const WindowContext context{.manifest = manifest,
                                .chunks = chunks,
                                .hasher = repository.page_hasher(),
                                .data_directory = folder_.path(),
                                .compare_first = compare_first,
                                .threads = 4,
                                .progress = null_progress()};
    counts_.written = counts_.kept = 0;
    Window window(context, counts_);
    manifest.for_each(
        Section::kData, [&](const FileEntry& file) { window.add(file, 0, slice_count(file)); },
        kNoStop);
    window.restore(stop);
  }

  Bytes content_of(const std::string& name) {
    const FileDescriptor fd = open_or_throw(folder_ / name, O_RDONLY);
    Bytes bytes(fs::file_size(folder_ / name));
    read_at(fd.get(), 0, bytes, name);
    return bytes;
  }
  void expect_all() {
    for (const TestFile& file : some_files()) {
      EXPECT_TRUE(content_of(file.path) == expected_of(file)) << file.path;
    }
  }
  void put(const std::string& name, std::uint64_t at, const Bytes& bytes) {
    const FileDescriptor fd = open_or_throw(folder_ / name, O_WRONLY);
    write_at(fd.get(), at, bytes, name);
  }

  TestRepository repository_;
  TempFolder folder_;
  WindowCounts counts_;
};

TEST_F(WindowConcurrent, BringsEveryByteToItsPlace) {
  restore(*repository_.open(), false);
  expect_all();
}

TEST_F(WindowConcurrent, ZerosTakeNoRoom) {
  restore(*repository_.open(), false);
  struct stat about{};
  ASSERT_EQ(::stat((folder_ / "2").c_str(), &about), 0);
  EXPECT_LT(static_cast<std::uint64_t>(about.st_blocks) * 512, 16 * kMiB);
  ASSERT_EQ(::stat((folder_ / "5").c_str(), &about), 0);
  EXPECT_EQ(about.st_blocks, 0);
}

TEST_F(WindowConcurrent, ASecondRunKeepsEverything) {
  restore(*repository_.open(), false);
  const std::uint64_t written = counts_.written;
  restore(*repository_.open(), true);
  EXPECT_EQ(counts_.written, 0U);
  EXPECT_EQ(counts_.kept, written);
  expect_all();
}

// One block of content, one of zeros, and what an interrupted run left behind as zeros.
TEST_F(WindowConcurrent, WritesOnlyWhatDiffers) {
  restore(*repository_.open(), false);
  put("1", 3 * kMiB + kBlockBytes, Bytes(kBlockBytes, std::byte{9}));
  put("2", 0, Bytes(kBlockBytes, std::byte{9}));
  put("1", 5 * kMiB, Bytes(2 * kMiB));
  restore(*repository_.open(), true);
  EXPECT_EQ(counts_.written, kBlockBytes + 2 * kMiB);
  expect_all();
}

TEST_F(WindowConcurrent, DamageEndsItAndNamesThePack) {
  std::string pack;
  for (auto& [name, content] : repository_.objects->objects) {
    if (name.find("/pack/") == std::string::npos || content.size() < kMiB) continue;
    pack = name;
    content[content.size() / 2] ^= std::byte{1};
    break;
  }
  ASSERT_FALSE(pack.empty());
  const auto failure = failure_of([&] { restore(*repository_.open(), false); });
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->kind(), ErrorKind::kDamage);
  EXPECT_EQ(failure->object(), pack);
}

TEST_F(WindowConcurrent, AStopEndsIt) {
  std::stop_source source;
  source.request_stop();
  EXPECT_EQ(kind_of([&] { restore(*repository_.open(), false, source.get_token()); }),
            ErrorKind::kCancelled);
}

}  // namespace
}  // namespace holdfast
