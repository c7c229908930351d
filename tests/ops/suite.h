#pragma once
// What the tests of `status`, `doctor` and `checklist` share: a cluster that archives, and ways to
// break what surrounds it.

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "support/archived_cluster.h"

namespace holdfast::test {

using Codes = std::vector<std::string>;

class Observed {
 public:
  explicit Observed(const ArchivedOptions& options = {}) : archived_(options) {}

  ArchivedCluster& archived() { return archived_; }
  HoldfastProgram& holdfast() { return archived_.holdfast(); }
  PostgresCluster& server() { return archived_.server(); }
  std::filesystem::path second() { return holdfast().folder() / "second"; }

  void add_second() {
    holdfast().settings().repository_lines = {"  - name: second",
                                              fmt::format("    url: file://{}", second().string())};
    holdfast().must({"--repo", "second", "init"});
  }
  Answer run(const std::vector<std::string>& arguments) { return holdfast().run(arguments); }
  // As text, in the data directory.
  Outcome plain(const std::vector<std::string>& arguments) {
    return archived_.call(arguments, server().data_directory());
  }
  static void move_away(const std::filesystem::path& folder) {
    std::filesystem::rename(folder, folder.string() + ".away");
  }
  static void bring_back(const std::filesystem::path& folder) {
    std::filesystem::rename(folder.string() + ".away", folder);
  }
  void set(const std::string& name, const std::string& value) {
    server().sql(fmt::format("alter system set {} = '{}'", name, value));
    server().sql("select pg_reload_conf()");
    server().wait_for(fmt::format("current_setting('{}') = '{}'", name, value));
  }

  // Of the elements of a list in the result, without notices.
  static Codes codes(const Answer& answer, const std::string& list) {
    Codes found;
    for (const Json& each : answer.result().at(list)) {
      if (each.at("severity") != "notice") found.push_back(each.at("code"));
    }
    std::ranges::sort(found);
    return found;
  }
  static Json find(const Answer& answer, const std::string& code) {
    for (const Json& each : answer.result().at("findings")) {
      if (each.at("code") == code) return each;
    }
    return nullptr;
  }

 private:
  ArchivedCluster archived_;
};

}  // namespace holdfast::test
