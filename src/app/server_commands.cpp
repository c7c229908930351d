#include "app/server_commands.h"

#include <filesystem>

#include "core/error.h"

namespace holdfast {
namespace {

// For the shell, in single quotes where needed; then for PostgreSQL, which replaces %p, %f and %r.
std::string quoted(const std::string& word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+=:@";
  const bool plain = word.find_first_not_of(kPlain) == std::string::npos;
  std::string out = plain ? "" : "'";
  for (const char c : word) {
    if (c == '\'') {
      out += "'\\''";
    } else if (c == '%') {
      out += "%%";
    } else {
      out += c;
    }
  }
  if (!plain) out += "'";
  return out;
}

std::string program_and_configuration(const Config& config) {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) throw_errno(error.value(), "find the path of", "this program");
  return quoted(program.string()) + " --config " +
         quoted(std::filesystem::absolute(config.file).lexically_normal().string());
}

}  // namespace

std::string archive_command(const Config& config) {
  return program_and_configuration(config) + " archive-push \"%p\"";
}

std::string restore_command(const Config& config, const HistoryName& history) {
  std::string command = program_and_configuration(config);
  std::string as_of;
  for (const RepositoryConfig& repository : config.repositories) {
    if (!repository.as_of) continue;
    command += " --repo " + quoted(repository.name);
    as_of = " --as-of " + to_rfc3339(*repository.as_of);
  }
  return command + " archive-get" + as_of + " --history " + to_string(history) + " %f \"%p\"";
}

bool is_our_archive_command(const std::string& command) {
  return command.find("archive-push") != std::string::npos &&
         command.find("holdfast") != std::string::npos &&
         command.find("pgbackrest") == std::string::npos;
}

}  // namespace holdfast
