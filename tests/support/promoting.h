#pragma once
// A cluster whose place a recovered copy takes: an application that writes to it and can be stopped
// and started by hooks, and the server that a promotion leaves running.

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>

#include "support/recovering.h"

namespace holdfast::test {

// Writes orders, one after another, as long as the hooks let it.
class Application {
 public:
  Application(const PostgresCluster& server, std::filesystem::path folder)
      : server_(server), folder_(std::move(folder)), thread_([this](const std::stop_token& stop) {
          while (!stop.stop_requested()) work();
        }) {}

  bool healthy() const { return healthy_; }
  // The last one that was acknowledged.
  int orders() const { return orders_; }
  bool goes_on() const {
    const int before = orders_;
    return becomes_true([&] { return orders_ > before; });
  }
  // For the configuration.
  std::vector<std::string> hooks() const {
    return {"hooks:",
            fmt::format("  stop_application: {{run: \"touch {0}/stop; while [ -e {0}/writes ]; do "
                        "sleep 0.02; done\", timeout: 60s}}",
                        folder_.string()),
            fmt::format("  start_application: {{run: \"rm -f {}/stop\"}}", folder_.string())};
  }

 private:
  void work() {
    std::error_code ignored;
    if (std::filesystem::exists(folder_ / "stop")) {
      healthy_ = false;
      std::filesystem::remove(folder_ / "writes", ignored);
    } else {
      write_text(folder_ / "writes", "");
      try {
        server_.sql(fmt::format("insert into orders values ({})", orders_ + 1));
        ++orders_;
        healthy_ = true;
      } catch (const std::exception&) {
        take_up_where_it_is();
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }

  // Another state of the database than the one that it knew.
  void take_up_where_it_is() {
    healthy_ = false;
    try {
      orders_ = std::stoi(server_.sql("select coalesce(max(n), 0) from orders"));
    } catch (const std::exception&) {
    }
  }

  const PostgresCluster& server_;
  const std::filesystem::path folder_;
  std::atomic<bool> healthy_{false};
  std::atomic<int> orders_{0};
  std::jthread thread_;  // last: it uses the others
};

// As Recovering, and whatever server runs in the cluster's place in the end is ended too.
class Promoting : public Recovering {
 public:
  explicit Promoting(ArchivedCluster& cluster) : Recovering(cluster) {}
  ~Promoting() { quit_server_in(place()); }

  std::filesystem::path place() { return cluster().server().data_directory(); }
  std::filesystem::path aside() {
    return status().at("promotion").at("replaced_directory").get<std::string>();
  }
  // As a service manager does it, which was not told.
  bool starts(const std::filesystem::path& data_directory) {
    const auto& programs = cluster().server().programs();
    const Outcome outcome = test::run(
        {.arguments = as_server_user({(programs.bin_directory / "postgres").string(), "-D",
                                      data_directory.string(), "-p", std::to_string(free_port()),
                                      "-k", data_directory.parent_path().string()}),
         .timeout = std::chrono::seconds(20)});
    return outcome.timed_out || outcome.ok();
  }
};

}  // namespace holdfast::test
