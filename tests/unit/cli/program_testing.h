#pragma once
// Runs the built program in a folder of its own, without HOLDFAST_ variables from outside.

#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "support/process.h"
#include "support/surroundings.h"
#include "support/temp_folder.h"

namespace holdfast {

using namespace nlohmann::literals;  // _json_pointer

class ProgramTest : public ::testing::Test {
 protected:
  test::Command command(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), test::program_path());
    return {.arguments = std::move(arguments),
            .environment = {{"HOLDFAST_CONFIG", (folder_ / "a.yaml").string()}},
            .folder = folder_.path(),
            .timeout = std::chrono::seconds(30)};
  }
  test::Outcome holdfast(std::vector<std::string> arguments) const {
    return test::run(command(std::move(arguments)));
  }
  // The document of `arguments` with --output json. Nothing else may be on stdout.
  nlohmann::json json(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--output", "json"});
    const test::Outcome outcome = holdfast(std::move(arguments));
    EXPECT_EQ(outcome.err, "");
    nlohmann::json document = nlohmann::json::parse(outcome.out);  // throws on anything more
    EXPECT_EQ(document.at("ok").get<bool>(), outcome.exit_code == 0);
    EXPECT_EQ(document.value("/error/exit"_json_pointer, 0), outcome.exit_code);
    return document;
  }
  void write_config(const std::string& more = {}) const {
    test::write_text(folder_ / "a.yaml",
                     "cluster: demo\npostgres: {data_directory: /srv/pg}\n"
                     "repositories:\n  - name: hot\n    url: file:///srv/backups\n" +
                         more);
  }

  test::TempFolder folder_;
};

}  // namespace holdfast
