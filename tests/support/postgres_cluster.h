#pragma once
// A throw-away PostgreSQL of a test's own: initdb, start, stop, kill, SQL, write load, standbys.
//
// It lives in a temporary folder, listens on a Unix socket there and on a free port of loopback,
// knows one superuser "postgres" without password, and is stopped and removed with its object. When
// the test program is killed, the server stops as well: the thread that calls start() must
// therefore outlive the server. As root, PostgreSQL's programs run as the user "postgres".
// fsync is off unless `settings` say otherwise. Throws std::runtime_error with the server's log.
// Threads: one at a time, except sql(), rows() and what only reads.

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "support/process.h"
#include "support/temp_folder.h"

namespace holdfast::test {

// A PostgreSQL that is installed here.
struct ServerPrograms {
  int major_version = 0;
  std::filesystem::path bin_directory;
  bool has(const std::string& program) const;
};
// Version 15 of the distribution, or $HOLDFAST_TEST_PG15_BIN. Throws when it is missing.
ServerPrograms default_server();
// default_server() and what $HOLDFAST_TEST_PG<major>_BIN name, by version.
std::vector<ServerPrograms> available_servers();
// The program of the newest version that has it (pg_controldata, psql); npm's servers have none.
std::filesystem::path client_program(const std::string& name);

enum class Checksums { kOff, kOn };

struct ClusterOptions {
  ServerPrograms programs = default_server();
  Checksums checksums = Checksums::kOn;
  std::optional<int> wal_segment_mib = {};
  std::vector<std::string> initdb_arguments = {};
  std::vector<std::string> settings = {};  // lines of postgresql.conf; later ones win
};

class PostgresCluster {
 public:
  // initdb; not started.
  explicit PostgresCluster(ClusterOptions options = {});
  // A data directory that is there already (restored, for instance). It is not removed.
  static PostgresCluster on(const std::filesystem::path& data_directory,
                            ClusterOptions options = {});
  // A hot standby that streams from `primary`, which runs; not started.
  static PostgresCluster standby_of(PostgresCluster& primary,
                                    const std::vector<std::string>& settings = {});
  PostgresCluster(PostgresCluster&&) noexcept;
  PostgresCluster& operator=(PostgresCluster&&) noexcept;
  ~PostgresCluster();

  void start();  // returns when connections are accepted
  // As start(), but returns when the server is ready or has ended by itself; true when ready.
  bool try_start();
  enum class Shutdown { kFast, kImmediate };
  void stop(Shutdown how = Shutdown::kFast);
  void kill();  // SIGKILL to every process of it
  bool running();
  void promote();

  // Runs statements; the first value of the last result, empty for none.
  std::string sql(const std::string& statements) const;
  std::vector<std::vector<std::string>> rows(const std::string& statements) const;
  std::string connection(const std::string& user = "postgres") const;      // through the socket
  std::string tcp_connection(const std::string& user = "postgres") const;  // through loopback
  void wait_for(const std::string& condition);  // until "select <condition>" is true

  const ServerPrograms& programs() const;
  const std::filesystem::path& data_directory() const;
  const std::filesystem::path& socket_directory() const;
  int port() const;
  pid_t pid() const;
  std::string log() const;

 private:
  struct State;
  explicit PostgresCluster(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Commits numbered transactions, one after another, until it is stopped: number n is one row in
// table "load"; each transaction also rewrites an older row, and every hundredth deletes one of
// table "load_churn". What was acknowledged must be there after any recovery to a later point.
class WriteLoad {
 public:
  explicit WriteLoad(const PostgresCluster& cluster);
  ~WriteLoad();
  std::uint64_t committed() const { return committed_; }
  void wait_for_more(std::uint64_t transactions) const;
  // The last number that was acknowledged.
  std::uint64_t stop();

 private:
  void work(const std::stop_token& stop);

  std::string connection_;
  std::atomic<std::uint64_t> committed_{0};
  std::atomic<bool> ended_{false};
  std::jthread thread_;  // last: it uses the others
};

int free_port();

}  // namespace holdfast::test
