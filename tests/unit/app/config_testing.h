#pragma once
// A configuration file of a test's own, loaded without the process's environment and folders.

#include <string>

#include <gtest/gtest.h>

#include "app/config.h"
#include "core/error.h"
#include "support/temp_folder.h"

namespace holdfast {

inline const std::string kSmallConfig =
    "cluster: demo\n"
    "repositories:\n"
    "  - name: hot\n"
    "    url: s3://bucket/prefix\n";

class ConfigTest : public ::testing::Test {
 protected:
  ConfigRequest request(const std::string& text, Environment environment = {}) {
    test::write_text(folder_ / "a.yaml", text);
    return {.file = (folder_ / "a.yaml").string(),
            .cluster = {},
            .environment = std::move(environment),
            .folder = folder_ / "none",
            .state_root = folder_ / "state"};
  }
  LoadedConfig load(const std::string& text, Environment environment = {}) {
    return load_config(request(text, std::move(environment)));
  }
  // The error that loading gives; fails the test when there is none.
  Error refused(const ConfigRequest& wanted) {
    try {
      load_config(wanted);
    } catch (const Error& error) {
      EXPECT_EQ(to_string(error.kind()), to_string(ErrorKind::kConfiguration));
      return error;
    }
    ADD_FAILURE() << "the configuration was accepted";
    return {ErrorKind::kBug, "accepted"};
  }
  std::string at_line(int line) const {
    return (folder_ / "a.yaml").string() + ":" + std::to_string(line);
  }

  test::TempFolder folder_;
};

inline std::string value_of(const LoadedConfig& loaded, const std::string& key) {
  for (const ConfigValue& value : loaded.values) {
    if (value.key == key) return value.value + " (" + value.source + ")";
  }
  return "missing";
}

}  // namespace holdfast
