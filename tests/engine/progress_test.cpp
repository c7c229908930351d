// What people see while they wait: a bar on a terminal, nothing elsewhere.
#include <regex>

#include <fmt/format.h>

#include "suite.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

class ProgressOfARestore : public testing::Test {
 protected:
  void SetUp() override {
    holdfast_.init();
    const std::uint64_t stored = holdfast_.backup().at("stored_bytes");
    // Slow enough to be seen: the bar is drawn several times a second.
    words_ = {HoldfastProgram::path(),
              "--config",
              holdfast_.configuration().string(),
              "restore",
              "--rate",
              std::to_string(stored / 3),
              "--to"};
  }

  Outcome restore(const std::vector<std::string>& in_front) {
    std::vector<std::string> words = words_;
    words.push_back(holdfast_.new_path().string());
    if (!in_front.empty()) {
      words = {fmt::format("{}", fmt::join(words, " "))};
      words.insert(words.begin(), in_front.begin(), in_front.end());
      words.emplace_back("/dev/null");
    }
    Process process({.arguments = as_server_user(words),
                     .environment = {{"TERM", "xterm"}},
                     .folder = holdfast_.folder()});
    return process.wait(std::chrono::minutes{2});
  }

  HoldfastProgram holdfast_{small_cluster()};
  std::vector<std::string> words_;
};

TEST_F(ProgressOfARestore, IsABarWithRateAndTimeLeftOnATerminal) {
  // Gives the program a terminal of its own and copies what appears there.
  const Outcome seen = restore({"script", "--quiet", "--return", "--flush", "--command"});
  ASSERT_TRUE(seen.ok()) << seen.out << seen.err;
  const std::regex bar(
      R"(\r[^\r\n]*\[#+-+\]\s+[0-9]+ %\s+[0-9.]+ [KM]iB of [0-9.]+ MiB\s+[0-9.]+ [KM]iB/s\s+[0-9.]+ m?s left)");
  EXPECT_TRUE(std::regex_search(seen.out, bar)) << seen.out;
  EXPECT_NE(seen.out.find("\r\x1b[K"), std::string::npos) << "the bar is cleared at the end";
}

TEST_F(ProgressOfARestore, IsSilentInALog) {
  const Outcome seen = restore({});
  ASSERT_TRUE(seen.ok()) << seen.out << seen.err;
  EXPECT_EQ(seen.err, "");
  EXPECT_EQ(seen.out.find('\r'), std::string::npos) << seen.out;
}

}  // namespace
}  // namespace holdfast::test
