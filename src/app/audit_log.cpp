#include "app/audit_log.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"
#include "repository/json_text.h"
#include "seal/hash.h"
#include "seal/secret.h"
#include "system/files.h"
#include "system/users.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHashField = ",\"hash\":\"";
constexpr std::size_t kHashDigits = 64;
constexpr std::size_t kLogDigits = 16;
// Somebody else holds the lock for as long as one line takes to get to the disk.
constexpr int kLogLockTries = 500;
constexpr std::chrono::milliseconds kLogLockPoll{20};

std::string hash_of(std::string_view text) {
  return to_hex(sha256(as_bytes(text)));
}

// A line without the field "hash"; nullopt when it does not end in one.
std::optional<std::string_view> hashed_part(std::string_view line) {
  constexpr std::size_t kTail = kHashField.size() + kHashDigits + 2;
  if (line.size() < kTail || !line.ends_with("\"}")) return std::nullopt;
  if (line.substr(line.size() - kTail, kHashField.size()) != kHashField) return std::nullopt;
  return line.substr(0, line.size() - kTail);
}

[[noreturn]] void throw_no_line() {
  throw Error(ErrorKind::kDamage, "this is no line of an audit log");
}

std::string random_log_name() {
  std::array<std::byte, kLogDigits / 2> random{};
  fill_random(random);
  return to_hex(random);
}

FileDescriptor open_locked(const fs::path& path) {
  FileDescriptor file = open_or_throw(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  for (int i = 0; i < kLogLockTries; ++i) {
    if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return file;
    if (errno != EWOULDBLOCK && errno != EINTR) throw_file_error(errno, "lock", path.native());
    std::this_thread::sleep_for(kLogLockPoll);
  }
  throw Error(ErrorKind::kHost, "another process has locked the audit log for seconds",
              {.object = path.string()});
}

std::uint64_t size_of(const FileDescriptor& file, const fs::path& path) {
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) throw_file_error(errno, "look at", path.native());
  return static_cast<std::uint64_t>(status.st_size);
}

struct Tail {
  std::optional<AuditLine> last;
  std::uint64_t whole_bytes = 0;  // where the last whole line ends
};

Tail read_tail(const FileDescriptor& file, std::uint64_t size, const fs::path& path) {
  // Two lines: a torn one may stand behind the last whole one.
  const std::size_t wanted = std::min<std::uint64_t>(size, 2 * kAuditLineBytesMax + 2);
  std::string text(wanted, '\0');
  const std::size_t got =
      read_at(file.get(), size - wanted, std::as_writable_bytes(std::span(text)), path.native());
  text.resize(got);
  const std::size_t end = text.rfind('\n');
  if (end == std::string::npos && wanted < size) {
    throw Error(ErrorKind::kDamage, "its last line has no end");
  }
  if (end == std::string::npos) return {};
  const std::size_t before = end == 0 ? std::string::npos : text.rfind('\n', end - 1);
  const std::size_t begin = before == std::string::npos ? 0 : before + 1;
  const std::string_view line = std::string_view(text).substr(begin, end - begin);
  AuditLine last = parse_audit_line(line);
  if (!has_its_own_hash(line, last)) throw Error(ErrorKind::kDamage, "its last line was changed");
  return {std::move(last), size - wanted + end + 1};
}

Tail tail_or_refuse(const FileDescriptor& file, std::uint64_t size, const fs::path& path) {
  try {
    return read_tail(file, size, path);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kDamage) throw;
    throw Error(ErrorKind::kDamage,
                fmt::format("nothing can be added to the audit log: {}", error.message()),
                {.object = path.string(),
                 .hint = "See 'holdfast log --verify'. Once that is understood, move the file "
                         "aside: the next command begins a new one."});
  }
}

void write_line(const FileDescriptor& file, std::uint64_t end, std::string_view line,
                const fs::path& path) {
  std::string_view left = line;
  while (!left.empty()) {
    const ssize_t written = ::write(file.get(), left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      const int why = written < 0 ? errno : EIO;
      // Taken back, so that no half line stands there; what cannot be is removed by the next one.
      [[maybe_unused]] const int ignored = ::ftruncate(file.get(), static_cast<off_t>(end));
      throw_file_error(why, "write to the audit log", path.native());
    }
    left.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(file.get()) != 0) throw_file_error(errno, "sync", path.native());
}

std::string make_line(const Tail& tail, std::uint64_t torn_bytes, const AuditJson& fields) {
  AuditJson json;
  json["number"] = tail.last ? tail.last->number + 1 : 1;
  json["log"] = tail.last ? tail.last->log : random_log_name();
  json["previous"] = tail.last ? tail.last->hash : std::string(kHashDigits, '0');
  if (torn_bytes > 0) json["removed_torn_bytes"] = torn_bytes;
  json.update(fields);
  std::string line = json.dump(-1, ' ', false, AuditJson::error_handler_t::replace);
  line.pop_back();
  line += fmt::format("{}{}\"}}", kHashField, hash_of(line));
  HF_INVARIANT(line.size() <= kAuditLineBytesMax);
  return line + "\n";
}

}  // namespace

fs::path audit_log_path(const fs::path& state_directory) {
  return state_directory / "audit.jsonl";
}

void append_audit_line(const fs::path& state_directory, const AuditJson& fields) {
  const fs::path path = audit_log_path(state_directory);
  const FileDescriptor file = open_locked(path);
  const std::uint64_t size = size_of(file, path);
  if (size == 0) give_owner(file, {.path = path, .like = state_directory});
  const Tail tail = tail_or_refuse(file, size, path);
  const std::uint64_t torn = size - tail.whole_bytes;
  const std::string line = make_line(tail, torn, fields);
  if (torn > 0 && ::ftruncate(file.get(), static_cast<off_t>(tail.whole_bytes)) != 0) {
    throw_file_error(errno, "remove a torn line from", path.native());
  }
  write_line(file, tail.whole_bytes, line, path);
  if (size == 0) sync_folder(state_directory);
}

AuditText read_audit_log(const fs::path& state_directory) {
  const auto content = read_file(audit_log_path(state_directory), kAuditLogBytesMax);
  AuditText text;
  if (!content) return text;
  std::size_t at = 0;
  for (std::size_t end = 0; (end = content->find('\n', at)) != std::string::npos; at = end + 1) {
    text.lines.push_back(content->substr(at, end - at));
  }
  text.torn_bytes = content->size() - at;
  return text;
}

AuditLine parse_audit_line(std::string_view line) {
  if (line.size() > kAuditLineBytesMax) throw_no_line();
  try {
    AuditLine parsed{.fields = parse_json<AuditJson>(line)};
    if (!parsed.fields.at("number").is_number_unsigned()) throw_no_line();
    parsed.number = parsed.fields.at("number");
    parsed.log = parsed.fields.at("log");
    parsed.previous = parsed.fields.at("previous");
    parsed.hash = parsed.fields.at("hash");
    return parsed;
  } catch (const AuditJson::exception&) {
    throw_no_line();
  }
}

bool has_its_own_hash(std::string_view line, const AuditLine& parsed) {
  const auto hashed = hashed_part(line);
  return hashed && hash_of(*hashed) == parsed.hash;
}

namespace {

// One line after the other against what should follow.
class ChainCheck {
 public:
  explicit ChainCheck(std::uint64_t first) : expected_(first) {
    if (first == 1) previous_ = std::string(kHashDigits, '0');
  }

  void look_at(std::string_view text) {
    ++position_;
    try {
      const AuditLine line = parse_audit_line(text);
      look_at(text, line);
    } catch (const Error&) {
      find("cannot be read");
      previous_.reset();
      ++expected_;
    }
  }
  std::vector<std::string> take() { return std::move(findings_); }

 private:
  void look_at(std::string_view text, const AuditLine& line) {
    if (!has_its_own_hash(text, line)) find("was changed");
    if (!log_.empty() && line.log != log_) find("is of another log");
    if (line.number > expected_) {
      find(fmt::format("has the number {}: {} are missing before it", line.number,
                       line.number - expected_ == 1
                           ? fmt::format("number {}", expected_)
                           : fmt::format("numbers {} to {}", expected_, line.number - 1)));
    } else if (line.number < expected_) {
      find(fmt::format("has the number {} and is out of order", line.number));
    } else if (previous_ && line.previous != *previous_) {
      find("does not follow from the line before it");
    }
    log_ = line.log;
    previous_ = line.hash;
    expected_ = line.number + 1;
  }
  void find(std::string_view what) {
    if (findings_.size() >= kAuditFindingsMax) return;
    findings_.push_back(fmt::format("line {} {}", position_, what));
  }

  std::size_t position_ = 0;
  std::uint64_t expected_;
  std::optional<std::string> previous_;
  std::string log_;
  std::vector<std::string> findings_;
};

}  // namespace

std::vector<std::string> verify_audit_chain(const std::vector<std::string>& lines,
                                            std::uint64_t first) {
  ChainCheck check(first);
  for (const std::string& line : lines) check.look_at(line);
  return check.take();
}

}  // namespace holdfast
