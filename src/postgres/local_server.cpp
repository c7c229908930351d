#include "postgres/local_server.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.h"
#include "system/files.h"

extern char** environ;

namespace holdfast {
namespace {

constexpr std::size_t kSmallFileBytesMax = 65536;
constexpr std::size_t kProgramOutputMax = 4096;

std::string_view take_line(std::string_view& text) {
  const auto end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  while (!line.empty() && line.back() == ' ') line.remove_suffix(1);
  return line;
}

template <class Integer>
std::optional<Integer> parse_whole(std::string_view text) {
  Integer value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Number at the front of `text`, whatever follows it.
std::optional<int> parse_front(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

enum class ProcessState { kGone, kServes, kOther, kUnknown };

// A server's working directory is its data directory.
ProcessState state_of(pid_t pid, const std::filesystem::path& data_directory) {
  if (::kill(pid, 0) != 0 && errno == ESRCH) return ProcessState::kGone;
  struct stat working{};
  struct stat data{};
  if (stat(fmt::format("/proc/{}/cwd", pid).c_str(), &working) != 0) {
    return errno == ENOENT ? ProcessState::kGone : ProcessState::kUnknown;
  }
  if (stat(data_directory.c_str(), &data) != 0) return ProcessState::kUnknown;
  const bool same = working.st_dev == data.st_dev && working.st_ino == data.st_ino;
  return same ? ProcessState::kServes : ProcessState::kOther;
}

// What `program --version` prints, empty when it cannot be run.
std::string version_output(const std::filesystem::path& program) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw_errno(errno, "make", "a pipe");
  const FileDescriptor reading(ends[0]);
  FileDescriptor writing(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, writing.get(), STDOUT_FILENO);
  std::string path = program.string();
  std::string option = "--version";
  std::array<char*, 3> arguments{path.data(), option.data(), nullptr};
  pid_t pid = 0;
  const int failed = posix_spawn(&pid, path.c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  writing = FileDescriptor();
  if (failed != 0) return {};
  std::string text(kProgramOutputMax, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = read(reading.get(), text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    size += static_cast<std::size_t>(count);
  }
  text.resize(size);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? text : std::string{};
}

// Major version of the `postgres` in `folder`; nullopt when there is none that runs.
std::optional<int> programs_version(const std::filesystem::path& folder) {
  const std::filesystem::path program = folder / "postgres";
  if (access(program.c_str(), X_OK) != 0) return std::nullopt;
  const std::string text = version_output(program);
  constexpr std::string_view kPrefix = "postgres (PostgreSQL) ";
  if (!text.starts_with(kPrefix)) return std::nullopt;
  return parse_front(std::string_view(text).substr(kPrefix.size()));
}

std::vector<std::filesystem::path> usual_bin_directories(int major_version) {
  std::vector<std::filesystem::path> result{
      fmt::format("/usr/lib/postgresql/{}/bin", major_version),  // Debian
      fmt::format("/usr/pgsql-{}/bin", major_version),  // PostgreSQL's packages for Red Hat
      "/usr/local/pgsql/bin"};                          // built from source
  const char* const path_variable = std::getenv("PATH");
  std::string_view rest = path_variable == nullptr ? "" : path_variable;
  while (!rest.empty()) {
    const auto end = rest.find(':');
    if (const auto folder = rest.substr(0, end); folder.starts_with('/'))
      result.emplace_back(folder);
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  }
  return result;
}

// A server that starts creates the file empty and writes it a moment later (CreateLockFile in
// utils/init/miscinit.c).
std::optional<std::string> read_once_written(const std::filesystem::path& path) {
  constexpr int kAttempts = 100;
  constexpr std::chrono::milliseconds kPause{20};
  auto content = read_file(path, kSmallFileBytesMax);
  for (int i = 0; i < kAttempts && content && content->empty(); ++i) {
    std::this_thread::sleep_for(kPause);
    content = read_file(path, kSmallFileBytesMax);
  }
  return content;
}

}  // namespace

std::optional<PostmasterFile> read_postmaster_file(const std::filesystem::path& data_directory) {
  const std::filesystem::path path = data_directory / "postmaster.pid";
  const auto content = read_once_written(path);
  if (!content) return std::nullopt;
  std::string_view rest = *content;
  PostmasterFile file;
  // A server for a single user writes its number as a negative one.
  const auto pid = parse_whole<int>(take_line(rest));
  if (!pid || *pid == 0) {
    throw Error(
        ErrorKind::kDamage, "postmaster.pid does not begin with a process id",
        {.object = path.string(),
         .hint = "Make sure that no PostgreSQL runs in this folder, then remove the file."});
  }
  file.pid = std::abs(*pid);
  file.data_directory = take_line(rest);
  file.started = std::chrono::sys_seconds{
      std::chrono::seconds{parse_whole<std::int64_t>(take_line(rest)).value_or(0)}};
  file.port = parse_whole<int>(take_line(rest)).value_or(0);
  file.socket_directory = take_line(rest);
  file.listen_address = take_line(rest);
  take_line(rest);  // key of the shared memory
  file.status = take_line(rest);
  return file;
}

std::optional<PostmasterFile> running_server(const std::filesystem::path& data_directory) {
  auto file = read_postmaster_file(data_directory);
  if (!file) return std::nullopt;
  const ProcessState state = state_of(file->pid, data_directory);
  if (state == ProcessState::kGone || state == ProcessState::kOther) return std::nullopt;
  return file;
}

int data_directory_version(const std::filesystem::path& data_directory) {
  const std::filesystem::path path = data_directory / "PG_VERSION";
  const auto content = read_file(path, kSmallFileBytesMax);
  const std::string_view text = content ? std::string_view(*content) : std::string_view{};
  const auto version = parse_whole<int>(text.substr(0, text.find('\n')));
  if (!version || *version <= 0) {
    throw Error(ErrorKind::kConfiguration,
                content ? "PG_VERSION does not hold a major version" : "this is no data directory",
                {.object = data_directory.string(),
                 .hint = "Name PostgreSQL's data directory (\"show data_directory\"); it holds a "
                         "file PG_VERSION."});
  }
  return *version;
}

std::filesystem::path find_bin_directory(int major_version,
                                         const std::filesystem::path& configured) {
  constexpr std::string_view kKey = "postgres.bin_directory";
  if (!configured.empty()) {
    const auto version = programs_version(configured);
    if (version == major_version) return configured;
    throw Error(ErrorKind::kConfiguration,
                version ? fmt::format("{} holds PostgreSQL {}, but version {} is needed",
                                      configured.string(), *version, major_version)
                        : fmt::format("no program postgres that runs in {}", configured.string()),
                {.object = std::string(kKey),
                 .hint = "Name the folder with initdb, pg_ctl and postgres of that version."});
  }
  for (const std::filesystem::path& folder : usual_bin_directories(major_version)) {
    if (programs_version(folder) == major_version) return folder;
  }
  throw Error(ErrorKind::kConfiguration,
              fmt::format("the programs of PostgreSQL {} were not found", major_version),
              {.object = std::string(kKey),
               .hint = "Name the folder with initdb, pg_ctl and postgres of that version."});
}

}  // namespace holdfast
