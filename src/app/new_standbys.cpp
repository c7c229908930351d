#include "app/new_standbys.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "app/open.h"
#include "app/restore.h"
#include "core/cancellation.h"
#include "core/error.h"
#include "core/text.h"
#include "postgres/connection_string.h"
#include "postgres/control_file.h"
#include "postgres/data_files.h"
#include "postgres/local_server.h"
#include "postgres/session.h"
#include "postgres/standby_settings.h"
#include "recover/replaced_server.h"
#include "restore/external_config.h"
#include "restore/recovery_settings.h"
#include "system/files.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::minutes kCatchUpPatience{10};  // without any progress
constexpr std::chrono::milliseconds kCatchUpPoll{200};
constexpr int kDefaultPort = 5432;
constexpr int kPortMax = 65535;
constexpr std::size_t kMarkBytesMax = 1024;
constexpr std::string_view kBegin = "# Settings of a standby that Holdfast made: begin";
constexpr std::string_view kEnd = "# Settings of a standby that Holdfast made: end";

[[noreturn]] void refuse(const std::string& message, const fs::path& object,
                         const std::string& hint) {
  throw Error(ErrorKind::kRefused, message, {.object = object, .hint = hint});
}

bool is_free(int port) {
  const FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  const int yes = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  return ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

int next_port(int from, const std::vector<RecoveryStandby>& planned) {
  for (int port = from; port <= kPortMax; ++port) {
    const bool taken = std::ranges::any_of(
        planned, [&](const RecoveryStandby& other) { return other.port == port; });
    if (!taken && is_free(port)) return port;
  }
  throw Error(ErrorKind::kHost, "there is no free port for a standby",
              {.object = std::to_string(from), .hint = "Give a lower one: --standby-port"});
}

// False also for what may not be looked at: it is not ours.
bool is_empty_or_absent(const fs::path& directory) {
  std::error_code error;
  if (!fs::exists(directory, error) && !error) return true;
  if (!fs::is_directory(directory, error)) return false;
  fs::directory_iterator entry(directory, error);
  for (const fs::directory_iterator end; !error && entry != end; entry.increment(error)) {
    // The temporary file of a mark that was being written.
    if (!entry->path().filename().string().starts_with(std::string(kStandbyMark) + ".")) {
      return false;
    }
  }
  return !error;
}

void require_room(const fs::path& directory) {
  if (is_empty_or_absent(directory)) return;
  refuse("the directory for a standby is not empty", directory,
         "Move it away if nobody needs it, or choose another place: --standbys-under DIR");
}

bool is_marked(const fs::path& directory, const std::string& recovery) {
  return read_file(directory / kStandbyMark, kMarkBytesMax) == recovery + "\n";
}

// An empty one is taken, by a mark: that is all that is ever written into a directory of which it
// is not known whose it is.
void claim(const fs::path& directory, const std::string& recovery) {
  if (is_marked(directory, recovery)) return;
  if (!is_empty_or_absent(directory)) {
    refuse("somebody else made the directory for a standby meanwhile", directory,
           "Move it away if nobody needs it, and promote again; 'holdfast recover promote "
           "--instances 1' goes on without it.");
  }
  make_folders(directory, 0700);
  write_durably(directory / kStandbyMark, as_bytes(recovery + "\n"), 0600, Overwrite::kNo);
}

}  // namespace

void plan_standbys(const Config& config, const fs::path& place, const StandbyWish& wish,
                   std::vector<RecoveryStandby>& planned) {
  if (wish.instances == 0) {
    if (wish.under.empty() && wish.first_port == 0) return;
    throw Error(ErrorKind::kUsage, "how many standbys is not said", {.object = "--instances"});
  }
  if (wish.instances > kInstancesMax || wish.first_port > kPortMax) {
    throw Error(ErrorKind::kUsage,
                fmt::format("at most {} instances, ports up to {}", kInstancesMax, kPortMax),
                {.object = "--instances"});
  }
  const std::size_t wanted = wish.instances - 1;
  for (std::size_t i = 0; i < planned.size(); ++i) planned[i].dropped = i >= wanted;
  const fs::path under = wish.under.empty() ? place.parent_path() : fs::absolute(wish.under);
  const std::string port = port_of_connection(config.postgres.connection);
  const int primary = port.empty() ? kDefaultPort : std::stoi(port);
  while (planned.size() < wanted) {
    RecoveryStandby standby;
    standby.data_directory =
        under / fmt::format("{}.standby-{}", place.filename().native(), planned.size() + 1);
    standby.tablespaces = standby.data_directory.native() + ".tablespaces";
    require_room(standby.data_directory);
    require_room(standby.tablespaces);
    const int first = wish.first_port == 0 ? primary + 1 : static_cast<int>(wish.first_port);
    standby.port = next_port(first, planned);
    planned.push_back(standby);
  }
  if (wish.first_port == 0) return;
  for (RecoveryStandby& standby : planned) {  // also those that could not start on theirs
    if (standby.dropped || running_server(standby.data_directory)) continue;
    standby.port = 0;
    standby.port = next_port(static_cast<int>(wish.first_port), planned);
  }
}

namespace {

// What the standby is told of its primary.
struct PrimaryFacts {
  std::string socket_directories, listen_addresses;
};

class StandbyBuilder {
 public:
  StandbyBuilder(const Config& config, const StandbyBuild& build, const RecoveryStandby& standby,
                 Progress& progress, const std::stop_token& stop)
      : config_(config),
        build_(build),
        standby_(standby),
        progress_(progress),
        stop_(stop),
        primary_(Session::connect(config.postgres.connection, stop)) {}

  std::string build();

 private:
  const fs::path& directory() const { return standby_.data_directory; }
  void restore_it();
  void require_ours() const;
  std::string socket_directory();
  void write_settings();
  void start();
  Lsn written_by_primary();
  std::string await_caught_up();

  const Config& config_;
  const StandbyBuild& build_;
  const RecoveryStandby& standby_;
  Progress& progress_;
  const std::stop_token& stop_;
  Session primary_;
};

void StandbyBuilder::restore_it() {
  Config config = config_;
  if (config.postgres.primary_connection.empty()) {
    config.postgres.primary_connection = config.postgres.connection;
  }
  restore(config, find_repository(config, build_.repository),
          {.backup = build_.backup,
           .target = {.data_directory = directory(), .tablespaces_under = standby_.tablespaces},
           .mode = RestoreMode::kStandby},
          progress_, stop_);
}

void StandbyBuilder::require_ours() const {
  const bool follows = fs::exists(directory() / "standby.signal");
  const auto system = read_control_file(directory()).parsed.system_identifier;
  if (follows && system == build_.system_identifier) return;
  refuse(follows ? "the directory is another cluster's" : "the server in it is no standby any more",
         directory(),
         "If it is wanted as it is, 'holdfast recover promote --instances 1' goes on without it "
         "(a rollback sets it aside all the same).");
}

std::string StandbyBuilder::socket_directory() {
  const std::string all = primary_.query("show unix_socket_directories").at(0).at(0).value_or("");
  const std::string first = all.substr(0, all.find(','));
  return first.empty() ? directory().native() : first;
}

// PostgreSQL reads this file last of all. Of the two servers each has a port and a pid file of its
// own; what a standby must not have smaller than its primary is given too, for the primary may have
// it from its command line.
void StandbyBuilder::write_settings() {
  const fs::path file = directory() / "postgresql.auto.conf";
  std::string text = read_file(file, kPostgresConfigBytesMax).value_or("");
  const std::size_t begin = text.find(kBegin);
  const std::size_t end = begin == std::string::npos ? begin : text.find(kEnd, begin);
  if (end != std::string::npos) text.erase(begin, end + kEnd.size() + 1 - begin);
  if (!text.empty() && text.back() != '\n') text += '\n';
  const StandbySettings least = read_standby_settings(directory());
  const auto listens = primary_.query("show listen_addresses").at(0).at(0).value_or("");
  const std::vector<std::pair<std::string, std::string>> settings{
      {"port", std::to_string(standby_.port)},
      {"unix_socket_directories", socket_directory()},
      {"listen_addresses", listens},
      {"external_pid_file", ""},
      {"hot_standby", "on"},
      {"max_connections", std::to_string(least.max_connections)},
      {"max_worker_processes", std::to_string(least.max_worker_processes)},
      {"max_wal_senders", std::to_string(least.max_wal_senders)},
      {"max_prepared_transactions", std::to_string(least.max_prepared_transactions)},
      {"max_locks_per_transaction", std::to_string(least.max_locks_per_transaction)}};
  text += fmt::format("{}\n", kBegin);
  for (const auto& [name, value] : settings) {
    text += fmt::format("{} = {}\n", name, quoted_setting(value));
  }
  text += fmt::format("{}\n", kEnd);
  write_durably(file, as_bytes(text), 0600, Overwrite::kYes);
}

void StandbyBuilder::start() {
  write_settings();
  start_server_in({.data_directory = directory(),
                   .bin_directory = find_bin_directory(data_directory_version(directory()),
                                                       config_.postgres.bin_directory),
                   // A data_directory in the copied configuration would be the primary's.
                   .options = {"-c", "data_directory=" + directory().native()},
                   .log = directory().native() + ".log"},
                  stop_);
}

// In a finished segment, so that one that follows the archive gets there too.
Lsn StandbyBuilder::written_by_primary() {
  const Lsn written = primary_.flushed_position();
  primary_.switch_wal();
  return written;
}

std::string StandbyBuilder::await_caught_up() {
  const Lsn wanted = written_by_primary();
  Session standby =
      Session::connect(connection_to_server(config_.postgres.connection,
                                            {.host = socket_directory(), .port = standby_.port}),
                       stop_);
  const auto pid = standby.query("select pg_backend_pid()").at(0).at(0).value_or("0");
  if (!is_session_of(directory(), std::stoi(pid))) {
    refuse("another server answers on the standby's port", directory(),
           "Stop that one, or choose other ports: --standby-port");
  }
  Lsn replayed;
  auto last_progress = SteadyClock::now();
  for (;; std::this_thread::sleep_for(kCatchUpPoll)) {
    check_cancelled(stop_);
    if (!standby.in_recovery()) require_ours();
    const Lsn now = standby.insert_position();
    if (now >= wanted && standby.in_recovery()) break;
    if (now > replayed) last_progress = SteadyClock::now();
    replayed = std::max(replayed, now);
    if (SteadyClock::now() - last_progress < kCatchUpPatience) continue;
    throw Error(ErrorKind::kPostgres,
                fmt::format("the standby does not catch up: it is at {}, the primary was at {}",
                            to_string(now), to_string(wanted)),
                {.object = directory(), .hint = fmt::format("Read {}.log.", directory().native())});
  }
  const auto streams =
      standby.query("select exists(select from pg_stat_wal_receiver where status = 'streaming')");
  return fmt::format("{}, port {}, {}, caught up with {}", directory().native(), standby_.port,
                     streams.at(0).at(0) == "t" ? "streaming" : "following the archive",
                     to_string(wanted));
}

std::string StandbyBuilder::build() {
  claim(directory(), build_.recovery);
  unfence(directory());  // by a rollback that was turned round before it had renamed it
  if (!fs::exists(directory() / kControlFilePath)) restore_it();
  require_ours();
  if (!running_server(directory())) start();
  return await_caught_up();
}

}  // namespace

std::string build_standby(const Config& config, const StandbyBuild& build, RecoveryStandby& standby,
                          const std::function<void()>& save, Progress& progress,
                          const std::stop_token& stop) {
  // Links in what was set aside lead to the tablespaces of then.
  const bool used = fs::exists(standby.tablespaces) && !fs::is_empty(standby.tablespaces);
  if (used && !fs::exists(standby.data_directory)) {
    standby.tablespaces = fmt::format("{}.tablespaces-{}", standby.data_directory.native(),
                                      to_compact(system_clock().now()));
    save();
  }
  return StandbyBuilder(config, build, standby, progress, stop).build();
}

bool set_standby_aside(const std::string& recovery, RecoveryStandby& standby,
                       const std::function<void()>& save, const std::stop_token& stop) {
  const fs::path& directory = standby.data_directory;
  if (is_empty_or_absent(directory)) return true;
  if (!is_marked(directory, recovery)) return false;
  if (standby.aside.empty() || fs::exists(standby.aside)) {
    const std::string now = to_compact(system_clock().now());
    standby.aside = directory.native() + ".set-aside-" + now;
    save();
  }
  stop_server_in(directory, stop);
  if (fs::exists(directory / kControlFilePath)) fence(directory);
  rename_durably(directory, standby.aside);
  return true;
}

}  // namespace holdfast
