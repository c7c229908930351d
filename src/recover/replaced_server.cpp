#include "recover/replaced_server.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include <fmt/format.h>

#include "core/cancellation.h"
#include "core/error.h"
#include "postgres/control_file.h"
#include "postgres/local_server.h"
#include "recover/copy_start.h"
#include "system/files.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFencedControlFile = "global/pg_control.set-aside-by-holdfast";
constexpr std::size_t kOptionsBytesMax = std::size_t{64} << 10U;
constexpr std::chrono::minutes kServerStopPatience{10};
constexpr std::chrono::minutes kServerStartPatience{10};
constexpr std::chrono::milliseconds kServerEndPoll{50};

// For the shell that pg_ctl calls.
std::string shell_quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

}  // namespace

void stop_server_in(const fs::path& data_directory, const std::stop_token& stop) {
  const auto deadline = std::chrono::steady_clock::now() + kServerStopPatience;
  pid_t told = 0;
  while (const auto server = running_server(data_directory)) {
    // Another one than the one that was told: somebody started it meanwhile.
    if (server->pid != told && ::kill(server->pid, SIGINT) != 0 && errno != ESRCH) {
      throw_errno(errno, "stop PostgreSQL in", data_directory.native());
    }
    told = server->pid;
    check_cancelled(stop);
    if (std::chrono::steady_clock::now() > deadline) {
      throw Error(ErrorKind::kPostgres,
                  fmt::format("PostgreSQL does not stop (process {})", server->pid),
                  {.object = data_directory, .hint = "Read its log."});
    }
    std::this_thread::sleep_for(kServerEndPoll);
  }
}

bool is_session_of(const fs::path& data_directory, pid_t session) {
  const auto server = running_server(data_directory);
  std::ifstream status(fmt::format("/proc/{}/status", session));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("PPid:")) return server && std::stoi(line.substr(5)) == server->pid;
  }
  return false;
}

bool is_fenced(const fs::path& data_directory) {
  return fs::exists(data_directory / kFencedControlFile) &&
         !fs::exists(data_directory / kControlFilePath);
}

void fence(const fs::path& data_directory) {
  if (is_fenced(data_directory)) return;
  rename_durably(data_directory / kControlFilePath, data_directory / kFencedControlFile);
}

void unfence(const fs::path& data_directory) {
  if (!is_fenced(data_directory)) return;
  rename_durably(data_directory / kFencedControlFile, data_directory / kControlFilePath);
}

// One line: the program, then each argument between double quotes, unescaped (postmaster.c,
// CreateOptsFile).
std::vector<std::string> last_start_options(const fs::path& data_directory) {
  const std::string line =
      read_file(data_directory / "postmaster.opts", kOptionsBytesMax).value_or("");
  std::vector<std::string> words;
  for (std::size_t at = line.find(" \""); at != std::string::npos;) {
    const std::size_t next = line.find("\" \"", at + 2);
    const std::size_t end = next != std::string::npos ? next : line.rfind('"');
    words.push_back(line.substr(at + 2, end - at - 2));
    at = next == std::string::npos ? next : next + 1;
  }
  std::vector<std::string> options;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "-D") {
      ++i;
    } else if (!words[i].starts_with("-D")) {
      options.push_back(words[i]);
    }
  }
  return options;
}

void start_server_in(const ServerStart& start, const std::stop_token& stop) {
  std::string options;
  for (const std::string& option : start.options) options += shell_quoted(option) + " ";
  const std::uintmax_t from = end_of_log(start.log);
  ChildStart child{
      .program = start.bin_directory / "pg_ctl",
      .arguments = {"start", "--pgdata", start.data_directory, "--log", start.log, "--silent",
                    "--wait", "--timeout",
                    std::to_string(std::chrono::seconds(kServerStartPatience).count())},
      .log = start.log,
      .user = copy_server_user(start.data_directory)};
  if (!options.empty()) child.arguments.insert(child.arguments.end(), {"--options", options});
  ChildProcess pg_ctl(child);
  const auto ended = pg_ctl.wait(kServerStartPatience + std::chrono::minutes(1), stop);
  if (!ended) check_cancelled(stop);
  if (ended == 0) return;
  throw Error(
      ErrorKind::kPostgres, "PostgreSQL did not start: " + last_complaints(start.log, from),
      {.object = start.data_directory, .hint = fmt::format("Read {}.", start.log.native())});
}

}  // namespace holdfast
