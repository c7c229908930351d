#pragma once
// The built program, run on a cluster and a repository of a test's own, with its JSON output read.
//
// The configuration is written afresh before every call, because a restarted cluster listens on
// another port. The program runs as the user that owns the data directory, unless a test asks for
// its own user. Throws
// std::runtime_error when the program cannot be started or its output is no JSON document.
// HOLDFAST_TEST_PROGRAM names another program than the one this test was built with.
// Threads: one at a time. Lifetime: cluster and S3 server outlive it.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/postgres_cluster.h"
#include "support/process.h"
#include "support/temp_folder.h"

namespace holdfast::test {

class S3Server;
using Json = nlohmann::json;
using Variables = std::map<std::string, std::optional<std::string>>;

enum class Encryption { kNone, kKeyFile };
enum class RunAs { kServerUser, kOurselves };

struct ProgramSettings {
  std::string url = {};          // empty: a folder of its own
  const S3Server* s3 = nullptr;  // that `url` is on
  Encryption encryption = Encryption::kNone;
  std::string cluster_name = "demo";
  std::vector<std::string> lines = {};             // further lines of the configuration
  std::vector<std::string> repository_lines = {};  // behind the repository's: of it, or another one
};

struct Answer {
  Outcome outcome;
  Json document;  // null when a signal ended it before it said anything

  bool ok() const { return outcome.ok(); }
  const Json& result() const { return document.at("result"); }
  std::string kind() const;   // of the error; empty without one
  std::string error() const;  // message, object and hint, for a test to look into
  std::string text() const;   // everything, for a failing test's message
};

class HoldfastProgram {
 public:
  explicit HoldfastProgram(const PostgresCluster& cluster, ProgramSettings settings = {});

  static std::string path();

  Answer run(const std::vector<std::string>& arguments, const Variables& environment = {});
  // The same in the background; answer_of() reads what it said.
  Process start(const std::vector<std::string>& arguments, const Variables& environment = {});
  static Answer answer_of(Outcome outcome);

  // These throw, with all that was printed, when the program does not exit with 0.
  Json must(const std::vector<std::string>& arguments, const Variables& environment = {});
  Json init() { return must({"init"}); }
  Json backup(const std::vector<std::string>& more = {});
  Json restore(const std::filesystem::path& to, const std::vector<std::string>& more = {});
  std::vector<Json> listed(const std::vector<std::string>& more = {});
  std::vector<std::string> listed_ids();

  // A path that does not exist yet, in a folder that the program may write to.
  std::filesystem::path new_path(const std::string& name = "target");
  const std::filesystem::path& folder() const { return folder_.path(); }
  std::filesystem::path repository_folder() const { return folder_ / "repository"; }
  std::filesystem::path state_directory() const { return folder_ / "state"; }
  std::filesystem::path key_file() const { return folder_ / "key"; }
  std::filesystem::path configuration() const { return folder_ / "holdfast.yaml"; }
  ProgramSettings& settings() { return settings_; }
  // As libpq and the configuration see them; a test may point them elsewhere.
  std::optional<std::string> other_connection;
  std::optional<std::filesystem::path> other_data_directory;
  RunAs run_as = RunAs::kServerUser;

 private:
  void write_configuration() const;
  Command command(const std::vector<std::string>& arguments, const Variables& environment) const;

  const PostgresCluster& cluster_;
  ProgramSettings settings_;
  TempFolder folder_;
  int paths_ = 0;
};

}  // namespace holdfast::test
