#pragma once
// `recover` on an archived cluster, for the suites recover and crash: its calls, the copy's rows,
// the record, and that no server is left behind, whatever a test comes to.

#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "support/archived_cluster.h"

namespace holdfast::test {

// Waits for as long as a busy machine may need.
template <class Condition>
bool becomes_true(Condition condition) {
  for (int i = 0; i < 6000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

inline pid_t postmaster_of(const std::filesystem::path& data_directory) {
  const std::filesystem::path file = data_directory / "postmaster.pid";
  if (!std::filesystem::exists(file)) return 0;
  const std::string text = read_text(file);
  return text.find('\n') == std::string::npos ? 0 : std::stoi(text);
}

inline void quit_server_in(const std::filesystem::path& data_directory) {
  const pid_t server = postmaster_of(data_directory);
  if (server <= 0 || ::kill(server, SIGQUIT) != 0) return;
  becomes_true([&] { return !std::filesystem::exists(fmt::format("/proc/{}", server)); });
}

class Recovering {
 public:
  explicit Recovering(ArchivedCluster& cluster) : cluster_(cluster) {
    environment_["HOLDFAST_POSTGRES_BIN_DIRECTORY"] =
        cluster.server().programs().bin_directory.string();
  }
  ~Recovering() {
    const std::filesystem::path folder = cluster_.holdfast().state_directory() / "recoveries";
    if (!std::filesystem::exists(folder)) return;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      quit_server_in(entry.path() / "data");
    }
  }
  Recovering(const Recovering&) = delete;
  Recovering& operator=(const Recovering&) = delete;

  Answer run(std::vector<std::string> arguments, const std::string& fault = "") {
    Variables environment = environment_;
    if (!fault.empty()) environment["HOLDFAST_FAULT_POINT"] = fault;
    return cluster_.holdfast().run(with_recover(std::move(arguments)), environment);
  }
  Json must(std::vector<std::string> arguments) {
    return cluster_.holdfast().must(with_recover(std::move(arguments)), environment_);
  }
  Process start(std::vector<std::string> arguments) {
    return cluster_.holdfast().start(with_recover(std::move(arguments)), environment_);
  }
  Json status() { return must({"status"}).at("recoveries").at(0); }
  std::string ask(const std::string& expression) {
    const Outcome outcome = test::run(
        {.arguments = as_server_user(
             {HoldfastProgram::path(), "--config", cluster_.holdfast().configuration().string(),
              "recover", "connect", "--command", "copy (select " + expression + ") to stdout"}),
         .environment = environment_});
    EXPECT_TRUE(outcome.ok()) << outcome.out << outcome.err;
    return outcome.out.substr(0, outcome.out.find('\n'));
  }
  std::string rows() { return ask("string_agg(n::text, ',' order by n) from t"); }
  std::filesystem::path record(const std::string& name = "recovery") const {
    return cluster_.holdfast().state_directory() / "recoveries" / (name + ".json");
  }
  // Kills holdfast as soon as the record says that it is at this step; false: the step had ended.
  bool kill_in_step(std::vector<std::string> arguments, const std::string& step) {
    Process process = start(std::move(arguments));
    becomes_true([&] { return !process.running() || is_under_way(step); });
    process.send(SIGKILL);
    return process.wait(std::chrono::minutes(1)).signal == SIGKILL && is_under_way(step);
  }
  ArchivedCluster& cluster() { return cluster_; }
  bool is_under_way(const std::string& step) const {
    if (!std::filesystem::exists(record())) return false;
    const Json steps = Json::parse(read_text(record())).at("steps");
    return !steps.empty() && steps.back().at("name") == step &&
           steps.back().at("result") == "under way";
  }

 private:
  static std::vector<std::string> with_recover(std::vector<std::string> arguments) {
    arguments.at(0) = "recover " + arguments.at(0);
    const std::size_t space = arguments.at(0).find(' ');
    std::vector<std::string> all{arguments.at(0).substr(0, space),
                                 arguments.at(0).substr(space + 1)};
    all.insert(all.end(), arguments.begin() + 1, arguments.end());
    return all;
  }

  ArchivedCluster& cluster_;
  Variables environment_;
};

}  // namespace holdfast::test
