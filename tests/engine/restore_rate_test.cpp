// `restore --rate` holds what it reads from the repository to that rate.
#include "suite.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

std::uint64_t stored_bytes(const HoldfastProgram& holdfast) {
  std::uint64_t bytes = 0;
  for (const auto& file : fs::recursive_directory_iterator(holdfast.repository_folder())) {
    if (file.is_regular_file() && file.path().string().find("/pack/") != std::string::npos) {
      bytes += file.file_size();
    }
  }
  return bytes;
}

TEST(RestoreRate, HoldsTheReadingBack) {
  HoldfastProgram holdfast(small_cluster());
  holdfast.init();
  holdfast.backup();
  const std::uint64_t rate = stored_bytes(holdfast) / 4;
  ASSERT_GT(rate, 0U);
  const Json done = holdfast.restore(holdfast.new_path(), {"--rate", std::to_string(rate)});
  // Four seconds' worth; a burst goes at once, and the last read is not waited for.
  EXPECT_GT(done.at("duration_seconds"), 2.0);
  // What the time would be without the limit: the option makes the difference.
  const Json fast = holdfast.restore(holdfast.new_path());
  EXPECT_LT(fast.at("duration_seconds"), done.at("duration_seconds"));
}

}  // namespace
}  // namespace holdfast::test
