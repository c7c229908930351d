#include "recover/copy_start.h"

#include <cerrno>
#include <fstream>

#include <fmt/format.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"
#include "postgres/connection_string.h"
#include "recover/isolation.h"
#include "system/files.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kLogTailBytes = 16384;
constexpr std::size_t kLogLinesShown = 5;

void write_text(const fs::path& path, std::string_view text, const std::optional<ChildUser>& user) {
  publish_unsynced(path, as_bytes(text), 0600);
  // Whom the folder belongs to may have put a link there meanwhile.
  if (user && ::lchown(path.c_str(), user->uid, user->gid) != 0) {
    throw_errno(errno, "set the owner of", path.native());
  }
}

}  // namespace

std::optional<ChildUser> copy_server_user(const fs::path& data_directory) {
  if (::geteuid() != 0) return std::nullopt;
  struct stat status{};
  if (::stat(data_directory.c_str(), &status) != 0) {
    throw_errno(errno, "examine", data_directory.native());
  }
  if (status.st_uid == 0) {
    throw Error(ErrorKind::kRefused, "PostgreSQL does not run as root, who owns the directory",
                {.object = data_directory, .hint = "Run holdfast as the user of PostgreSQL."});
  }
  return ChildUser{status.st_uid, status.st_gid};
}

fs::path make_server_folder(const std::optional<ChildUser>& user) {
  std::string name = fs::temp_directory_path() / "holdfast-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) throw_errno(errno, "create", name);
  if (user && ::chown(name.c_str(), user->uid, user->gid) != 0) {
    throw_errno(errno, "set the owner of", name);
  }
  return name;
}

ChildStart prepare_copy_server(const CopyServerOptions& options, const CopyStart& start) {
  write_text(start.folder / kIsolatedConfigFile, "# Everything is on the command line.\n",
             start.user);
  // The socket's folder is private: whoever reaches it may be any role.
  write_text(start.folder / kIsolatedHbaFile, "local all all trust\n", start.user);
  write_text(start.folder / kIsolatedIdentFile, "", start.user);
  ChildStart child{.program = options.bin_directory / "postgres",
                   .arguments = {"-D", options.data_directory},
                   .log = options.log,
                   .user = start.user,
                   .environment = options.environment,
                   .on_our_death = start.on_our_death};
  for (const auto& [name, value] : isolation_settings({.major_version = options.major_version,
                                                       .data_directory = options.data_directory,
                                                       .folder = start.folder,
                                                       .readable = start.readable,
                                                       .wal = start.wal})) {
    child.arguments.insert(child.arguments.end(), {"-c", name + "=" + value});
  }
  return child;
}

std::string copy_connection(const CopyAddress& address, const std::string& role,
                            const std::string& database) {
  return fmt::format("host={} port={} user={} dbname={} connect_timeout=10 options={}",
                     quoted_connection_value(address.folder.native()), kIsolatedPort,
                     quoted_connection_value(role), quoted_connection_value(database),
                     quoted_connection_value(isolated_session_options(address.major_version)));
}

// From the title of the startup process: "postgres: startup recovering 00000001000000000000000A".
std::string replaying_segment(pid_t postmaster) {
  const fs::path children = fmt::format("/proc/{0}/task/{0}/children", postmaster);
  std::ifstream list(children);
  for (std::string pid; list >> pid;) {
    std::ifstream title("/proc/" + pid + "/cmdline", std::ios::binary);
    std::string text(256, '\0');
    title.read(text.data(), static_cast<std::streamsize>(text.size()));
    const auto at = text.find("recovering ");
    if (at == std::string::npos) continue;
    const std::string name = text.substr(at + std::string_view("recovering ").size(), 24);
    return name.substr(0, name.find_first_not_of("0123456789ABCDEF"));
  }
  return {};
}

std::uintmax_t end_of_log(const fs::path& log) {
  std::error_code none;
  const std::uintmax_t size = fs::file_size(log, none);
  return none ? 0 : size;
}

std::string last_complaints(const fs::path& log, std::uintmax_t from_bytes) {
  std::ifstream in(log, std::ios::binary);
  const std::uintmax_t size = end_of_log(log);
  if (size > from_bytes + kLogTailBytes) from_bytes = size - kLogTailBytes;
  in.seekg(static_cast<std::streamoff>(from_bytes));
  std::vector<std::string> lines;
  std::string last;
  for (std::string line; std::getline(in, line);) {
    if (!line.empty()) last = line;
    for (const char* mark : {"ERROR:", "FATAL:", "PANIC:"}) {
      const auto at = line.find(mark);
      if (at != std::string::npos) lines.push_back(line.substr(at));
    }
  }
  if (lines.size() > kLogLinesShown) lines.erase(lines.begin(), lines.end() - kLogLinesShown);
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : "; ") + line;
  if (!text.empty()) return text;
  return last.empty() ? "its log does not say why" : last;
}

}  // namespace holdfast
