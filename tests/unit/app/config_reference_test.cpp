// docs/configuration.md against the table of keys. HOLDFAST_TEST_UPDATE=1 rewrites its table.
#include <cstdlib>

#include <gtest/gtest.h>

#include "config_testing.h"
#include "support/surroundings.h"

namespace holdfast {
namespace {

constexpr std::string_view kBegin = "<!-- keys: generated from src/app/config_keys.cpp -->\n";
constexpr std::string_view kEnd = "<!-- end of keys -->\n";

TEST(ConfigReference, DocumentMatchesTheKeys) {
  const std::filesystem::path path = test::source_folder() / "docs/configuration.md";
  std::string text = test::read_text(path);
  const std::size_t begin = text.find(kBegin);
  const std::size_t end = text.find(kEnd);
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  const std::size_t table = begin + kBegin.size();
  const std::string wanted = config_reference_markdown();
  if (std::getenv("HOLDFAST_TEST_UPDATE") != nullptr) {
    test::write_text(path, text.replace(table, end - table, wanted));
    return;
  }
  EXPECT_EQ(text.substr(table, end - table), wanted) << "HOLDFAST_TEST_UPDATE=1 rewrites it";
}

// The example of the document is a configuration, so that it cannot rot.
TEST_F(ConfigTest, ExampleOfTheDocumentLoads) {
  const std::string text = test::read_text(test::source_folder() / "docs/configuration.md");
  const std::string fence = "```yaml\n";
  const std::size_t begin = text.find(fence);
  ASSERT_NE(begin, std::string::npos);
  const std::size_t from = begin + fence.size();
  EXPECT_NO_THROW(load(text.substr(from, text.find("```", from) - from)));
}

}  // namespace
}  // namespace holdfast
