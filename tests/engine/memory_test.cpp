// Invariant 10: memory is bounded at default settings, whatever the number and size of files.
#include <cstring>
#include <random>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "suite.h"
#include "support/peak_memory.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

constexpr long kBudgetKib = 256L << 10U;

void make_tiny_files(const fs::path& folder, int count) {
  fs::create_directories(folder);
  for (int i = 0; i < count; ++i) {
    const std::string path = (folder / fmt::format("{:03}", i / 1000)).string();
    if (i % 1000 == 0) fs::create_directory(path);
    const int fd =
        ::open(fmt::format("{}/file-{}", path, i).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    const std::string content = std::to_string(i);
    ASSERT_EQ(::write(fd, content.data(), content.size()), static_cast<ssize_t>(content.size()));
    ::close(fd);
  }
}

// Packs are as large as they get, and there are more than are read at once.
void make_noise(const fs::path& path, std::size_t bytes) {
  std::mt19937_64 random(4711);
  std::string noise(bytes, '\0');
  for (std::size_t at = 0; at + sizeof(std::uint64_t) <= bytes; at += sizeof(std::uint64_t)) {
    const std::uint64_t value = random();
    std::memcpy(noise.data() + at, &value, sizeof value);
  }
  write_text(path, noise);
}

TEST(Memory, StaysInTheBudgetWithManyFilesAndALargeOne) {
  const int kFiles = is_wide_run() ? 300'000 : 60'000;
  PostgresCluster cluster;
  make_tiny_files(cluster.data_directory() / "many", kFiles);
  const std::uintmax_t large = std::uintmax_t{4} << 30U;
  make_noise(cluster.data_directory() / "noise", std::size_t{256} << 20U);
  write_text(cluster.data_directory() / "large", "");
  fs::resize_file(cluster.data_directory() / "large", large);
  give_to_server_user(cluster.data_directory());
  cluster.start();
  HoldfastProgram holdfast(cluster);
  holdfast.init();
  const long backup = peak_kib(holdfast, {"backup"});
  EXPECT_GT(backup, 1000) << "nothing was measured";
  EXPECT_LE(backup, kBudgetKib);
  const long verify = peak_kib(holdfast, {"verify"});
  EXPECT_GT(verify, 1000) << "nothing was measured";
  EXPECT_LE(verify, kBudgetKib * 3 / 4) << "the tables of a larger backup need the rest";
  const fs::path target = holdfast.new_path();
  const long restore = peak_kib(holdfast, {"restore", "--to", target.string()});
  EXPECT_GT(restore, 1000) << "nothing was measured";
  EXPECT_LE(restore, kBudgetKib);
  RecordProperty("backup_kib", static_cast<int>(backup));
  RecordProperty("verify_kib", static_cast<int>(verify));
  RecordProperty("restore_kib", static_cast<int>(restore));
  EXPECT_EQ(fs::file_size(target / "large"), large);
  EXPECT_EQ(read_text(target / "many/059/file-59999"), "59999");
  EXPECT_EQ(read_text(target / "many/000/file-7"), "7");
}

}  // namespace
}  // namespace holdfast::test
