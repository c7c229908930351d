#include "app/action.h"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "app/audit_log.h"
#include "app/open.h"
#include "app/version.h"
#include "core/log.h"
#include "core/redact.h"
#include "repository/audit_record.h"
#include "repository/json_text.h"
#include "system/files.h"
#include "system/users.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

// So that a line stays within kAuditLineBytesMax, even if every byte becomes an escape of six.
constexpr std::size_t kTextBytesMax = 1000;
constexpr std::size_t kArgumentsBytesMax = 4000;
// What an action may take longer because the repository is slow to answer.
constexpr std::chrono::seconds kCopyPatience{5};
constexpr std::size_t kSmallFileBytesMax = 4096;

std::string shortened(std::string text, std::size_t most = kTextBytesMax) {
  if (text.size() <= most) return text;
  text.resize(most);
  return text + "…";
}

// Who logged in, which sudo and su do not change; empty where the kernel does not say.
std::string login_name() {
  try {
    const auto text = read_file("/proc/self/loginuid", kSmallFileBytesMax);
    if (!text || text->empty()) return {};
    const unsigned long uid = std::stoul(*text);
    return uid >= 0xffffffffUL ? std::string() : user_name(static_cast<uid_t>(uid));
  } catch (const std::exception&) {
    return {};
  }
}

AuditJson arguments_json(const std::vector<std::string>& arguments) {
  AuditJson list = AuditJson::array();
  std::size_t bytes = 0;
  for (const std::string& argument : arguments) {
    std::string text = shortened(redact_secrets(argument));
    bytes += text.size();
    if (bytes > kArgumentsBytesMax) {
      list.push_back("…");
      break;
    }
    list.push_back(std::move(text));
  }
  return list;
}

AuditJson error_json(const Error* error) {
  if (error == nullptr) return nullptr;
  return {{"kind", to_string(error->kind())},
          {"message", shortened(redact_secrets(error->message()))},
          {"object", shortened(redact_secrets(error->object()))}};
}

std::string place_of(const Config& config) {
  return fmt::format("{}:{}", host_name(), config.state_directory.string());
}

// What root makes here is for the owner of the state directory too, whose next action needs it.
void give_to_owner_of_folder(const fs::path& file) {
  give_owner({.path = file, .like = file.parent_path()});
}

fs::path mark_path(const Config& config) {
  return config.state_directory / "audit.copied";
}

// How far the repository's copy of the log goes; 0: nothing is known to be there, or the log is not
// the one that was copied: it was set back, and all of it has to be there to be compared with.
std::uint64_t copied_until(const Config& config, const std::vector<std::string>& lines,
                           const std::string& log) {
  try {
    const auto text = read_file(mark_path(config), kSmallFileBytesMax);
    if (!text) return 0;
    const auto json = parse_json<AuditJson>(*text);
    const bool same = json.at("log") == log &&
                      json.at("repository") == redact_secrets(config.repositories.front().url);
    if (!same) return 0;
    const auto number = json.at("number").get<std::uint64_t>();
    if (number > 0 && number <= lines.size() &&
        parse_audit_line(lines[number - 1]).hash == json.at("hash").get<std::string>()) {
      return number;
    }
    log_warning("the audit log is not the one that was copied last: it was set back or changed");
    return 0;
  } catch (const AuditJson::exception&) {
    return 0;
  }
}

void remember_copied(const Config& config, const AuditRecord& record) {
  const AuditJson json{{"log", record.log},
                       {"repository", redact_secrets(config.repositories.front().url)},
                       {"number", record.first + record.lines.size() - 1},
                       {"hash", parse_audit_line(record.lines.back()).hash}};
  publish_unsynced(mark_path(config), as_bytes(json.dump() + "\n"), 0600);
  give_to_owner_of_folder(mark_path(config));
}

// The lines behind number `after`, cut into records.
std::vector<AuditRecord> records_of(const Config& config, const std::vector<std::string>& lines,
                                    std::uint64_t after, const std::string& log) {
  std::vector<AuditRecord> records;
  std::size_t bytes = 0;
  for (std::size_t i = after; i < lines.size(); ++i) {
    bytes += lines[i].size();
    if (records.empty() || records.back().lines.size() >= kAuditRecordLinesMax ||
        bytes > kAuditRecordBytesMax) {
      records.push_back({.log = log, .place = place_of(config), .first = i + 1, .lines = {}});
      bytes = lines[i].size();
    }
    records.back().lines.push_back(lines[i]);
  }
  return records;
}

}  // namespace

std::size_t copy_audit_log(const Config& config, const std::stop_token& stop) {
  const fs::path lock_path = config.state_directory / "audit.copying";
  const auto lock = FileLock::try_acquire(lock_path);
  if (!lock) return 0;  // another action is at it; what it misses a later one takes
  give_to_owner_of_folder(lock_path);
  const AuditText text = read_audit_log(config.state_directory);
  if (text.lines.empty()) return 0;
  const std::string log = parse_audit_line(text.lines.back()).log;
  const std::uint64_t after = copied_until(config, text.lines, log);
  if (after >= text.lines.size()) return 0;
  RepositoryConfig first = config.repositories.front();
  first.as_of.reset();  // the command may look at it as it was
  const auto repository = open_repository(first, {.patience = kCopyPatience}, stop);
  for (const AuditRecord& record : records_of(config, text.lines, after, log)) {
    write_audit_record(*repository, config.cluster, record, system_clock().now(), stop);
    remember_copied(config, record);
  }
  return text.lines.size() - after;
}

RecordedAction::RecordedAction(const Config& config, const ActionStart& start, const Warn& warn)
    : config_(config), command_(start.command), began_(system_clock().now()) {
  std::string id = new_backup_id(began_).text;
  const AuditJson fields{{"time", to_rfc3339(began_)},
                         {"event", "begin"},
                         {"action", id},
                         {"cluster", config.cluster},
                         {"host", host_name()},
                         {"user", user_name(::geteuid())},
                         {"login", login_name()},
                         {"pid", ::getpid()},
                         {"version", holdfast_version()},
                         {"command", start.command},
                         {"arguments", arguments_json(start.arguments)},
                         {"reason", shortened(redact_secrets(start.reason))}};
  try {
    prepare_state_directory(config);
    append_audit_line(config.state_directory, fields);
    id_ = std::move(id);
  } catch (Error& error) {
    if (start.effect == ActionEffect::kDestroys) {
      error.during("this command destroys, and is not run without an entry in the audit log");
      throw;
    }
    warn(fmt::format("this is missing from the audit log: {} ({})", error.message(),
                     error.object()));
  }
}

void RecordedAction::end(const ActionEnd& end, const Warn& warn) noexcept {
  try {
    if (id_.empty()) return;  // no begin, no end
    const Timestamp now = system_clock().now();
    append_audit_line(config_.state_directory,
                      {{"time", to_rfc3339(now)},
                       {"event", "end"},
                       {"action", id_},
                       {"command", command_},
                       {"exit", end.exit},
                       {"signal", end.signal},
                       {"error", error_json(end.error)},
                       {"subject", shortened(redact_secrets(end.subject))},
                       {"duration_seconds", Seconds(now - began_).count()}});
  } catch (const std::exception& error) {
    warn(fmt::format("the end of this is missing from the audit log: {}", error.what()));
  }
}

void RecordedAction::copy(const ActionEnd& end, const Warn& warn,
                          const std::stop_token& stop) noexcept {
  if (id_.empty()) return;
  // Not while somebody waits for the program to end, nor when the repository has just failed.
  const bool in_vain = end.error != nullptr && end.error->kind() == ErrorKind::kRepository;
  if (end.signal != 0 || in_vain) return;
  try {
    copy_audit_log(config_, stop);
  } catch (const std::exception& error) {
    const std::string text = fmt::format(
        "the audit log could not be copied to the repository; the next command tries again: {}",
        error.what());
    // Beside the command's own failure it would only distract.
    if (end.error == nullptr) return warn(text);
    log_info(text);
  }
}

}  // namespace holdfast
