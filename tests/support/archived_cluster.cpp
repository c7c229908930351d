#include "support/archived_cluster.h"

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

ClusterOptions cluster_options(const ArchivedOptions& options) {
  ClusterOptions made{.programs = options.programs,
                      .wal_segment_mib = options.wal_segment_mib,
                      .settings = {"archive_mode = on", "track_commit_timestamp = on",
                                   "max_prepared_transactions = 10"}};
  made.settings.insert(made.settings.end(), options.settings.begin(), options.settings.end());
  return made;
}

PostgresCluster& started(PostgresCluster& cluster) {
  cluster.start();
  return cluster;
}

}  // namespace

ArchivedCluster::ArchivedCluster(const ArchivedOptions& options)
    : cluster_(cluster_options(options)), holdfast_(started(cluster_), options.program) {
  holdfast_.must({"init", "--apply"});
  cluster_.wait_for("current_setting('archive_command') like '%archive-push%'");
}

void ArchivedCluster::archive() {
  // Something must be in the segment, or there is nothing to end.
  const std::string segment = cluster_.sql(
      "select pg_create_restore_point('end'); select pg_walfile_name(pg_switch_wal())");
  cluster_.wait_for(
      fmt::format("(select last_archived_wal >= '{}' from pg_stat_archiver)", segment));
}

Command ArchivedCluster::command(const std::vector<std::string>& arguments,
                                 const fs::path& data_directory) {
  std::vector<std::string> words{HoldfastProgram::path(), "--config",
                                 holdfast_.configuration().string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return {.arguments = as_server_user(words), .folder = data_directory};
}

Outcome ArchivedCluster::call(const std::vector<std::string>& arguments,
                              const fs::path& data_directory) {
  return run(command(arguments, data_directory));
}

Process ArchivedCluster::start(const std::vector<std::string>& arguments,
                               const fs::path& data_directory) {
  return Process(command(arguments, data_directory));
}

fs::path ArchivedCluster::object_of(const std::string& segment) {
  for (const auto& entry : fs::recursive_directory_iterator(holdfast_.repository_folder())) {
    if (entry.path().filename() == segment) return entry.path();
  }
  throw std::runtime_error("no object holds " + segment);
}

PostgresCluster start_recovered(const fs::path& data_directory, const ServerPrograms& programs) {
  PostgresCluster restored = PostgresCluster::on(data_directory, {.programs = programs});
  restored.start();
  restored.wait_for("not pg_is_in_recovery() or pg_is_wal_replay_paused()");
  return restored;
}

Variable::Variable(std::string name, const std::string& value) : name_(std::move(name)) {
  ::setenv(name_.c_str(), value.c_str(), 1);
}
Variable::~Variable() {
  ::unsetenv(name_.c_str());
}

bool is_wide_run() {
  const char* const wide = std::getenv("HOLDFAST_TEST_WIDE");
  return wide != nullptr && *wide != '\0';
}

}  // namespace holdfast::test
