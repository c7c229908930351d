#include "system/direct_write.h"

#include <algorithm>
#include <filesystem>
#include <random>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "system/files.h"

namespace holdfast {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20U;

DirectBuffer noise(std::size_t size) {
  DirectBuffer buffer(size);
  std::minstd_rand random(1);
  for (std::byte& byte : buffer.span()) byte = static_cast<std::byte>(random());
  return buffer;
}

Bytes content_of(const std::filesystem::path& path) {
  Bytes content(std::filesystem::file_size(path));
  const FileDescriptor fd = open_or_throw(path, O_RDONLY);
  EXPECT_EQ(read_at(fd.get(), 0, content, path.native()), content.size());
  return content;
}

// Two file systems at least: one that takes direct writes, and one in memory.
class DirectWrite : public testing::TestWithParam<const char*> {
 protected:
  DirectWrite() {
    std::string name = std::string(GetParam()) + "/holdfast-direct-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    folder_ = name;
  }
  ~DirectWrite() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
};
INSTANTIATE_TEST_SUITE_P(On, DirectWrite, testing::Values("/var/tmp", "/dev/shm"),
                         [](const auto& tested) {
                           return tested.param == std::string("/var/tmp") ? "Disk" : "Memory";
                         });

TEST_P(DirectWrite, DurableFilesHoldEveryByteWhateverTheirSizeAndAddress) {
  const DirectBuffer buffer = noise(13 * kMiB);
  int number = 0;
  for (const std::size_t size :
       {4 * kMiB - 1, 4 * kMiB, 4 * kMiB + 1, 8 * kMiB + 4096, 12 * kMiB + 4095, 12 * kMiB + 513}) {
    for (const std::size_t from : {std::size_t{0}, std::size_t{1}, std::size_t{4096}}) {
      const auto path = folder_ / std::to_string(++number);
      const ByteView content = buffer.view().subspan(from, size);
      write_durably(path, content, 0600, Overwrite::kNo);
      EXPECT_TRUE(std::ranges::equal(content_of(path), content)) << size << " from " << from;
    }
  }
}

TEST_P(DirectWrite, WhatDoesNotFitIsSaidAndTheFileTakesOrdinaryWritesAfterwards) {
  const auto path = folder_ / "file";
  const FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const DirectBuffer buffer = noise(8192);
  const ByteView two = buffer.view();
  if (!write_direct_at(fd.get(), 0, two, path)) write_at(fd.get(), 0, two, path.native());
  if (!write_direct_at(fd.get(), 8193, two.first(4096), path)) {
    write_at(fd.get(), 8193, two.first(4096), path.native());
  }
  EXPECT_EQ(::fcntl(fd.get(), F_GETFL) & O_DIRECT, 0);
  write_at(fd.get(), 8192, two.first(1), path.native());
  const Bytes there = content_of(path);
  ASSERT_EQ(there.size(), 8193U + 4096);
  EXPECT_TRUE(std::ranges::equal(ByteView(there).first(8192), two));
  EXPECT_TRUE(std::ranges::equal(ByteView(there).subspan(8193), two.first(4096)));
}

TEST(DirectBuffer, BeginsWhereDirectWritesMay) {
  for (const std::size_t size : {1UL, 4096UL, 4097UL, 3000001UL}) {
    const DirectBuffer buffer(size);
    EXPECT_EQ(buffer.size(), size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.view().data()) % kDirectAlignment, 0U);
  }
}

}  // namespace
}  // namespace holdfast
