#include "core/log.h"

#include <algorithm>
#include <atomic>

#include <unistd.h>

#include "core/redact.h"
#include "core/text.h"
#include "core/time.h"

namespace holdfast {
namespace {

std::atomic<LogLevel> current_level{LogLevel::kWarning};
std::atomic<LogFormat> current_format{LogFormat::kText};
std::atomic<LastLine> last_line{LastLine::kFree};
constexpr std::string_view kClearLine = "\r\x1b[K";

std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
    case LogLevel::kOff:
      return "error";
  }
  return "error";
}

bool has_control_characters(std::string_view text) {
  return std::ranges::any_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

// A file name or a server's message must not be able to write lines of its own into the log.
std::string one_line(std::string_view message) {
  return has_control_characters(message) ? json_quoted(message) : std::string(message);
}

std::string one_word(std::string_view value) {
  const bool plain = !value.empty() && !has_control_characters(value) &&
                     value.find_first_of(" \"=") == std::string_view::npos;
  return plain ? std::string(value) : json_quoted(value);
}

std::string text_line(LogLevel level, std::string_view message,
                      std::initializer_list<LogField> fields) {
  std::string line = fmt::format("{} {} {}", to_rfc3339_seconds(system_clock().now()),
                                 name_of(level), one_line(redact_secrets(message)));
  for (const LogField& field : fields) {
    line += fmt::format(" {}={}", field.key, one_word(redact_secrets(field.value)));
  }
  return line + "\n";
}

std::string json_line(LogLevel level, std::string_view message,
                      std::initializer_list<LogField> fields) {
  std::string line =
      fmt::format(R"({{"time":"{}","level":"{}","message":{})", to_rfc3339(system_clock().now()),
                  name_of(level), json_quoted(redact_secrets(message)));
  for (const LogField& field : fields) {
    line += fmt::format(",{}:{}", json_quoted(field.key), json_quoted(redact_secrets(field.value)));
  }
  return line + "}\n";
}

}  // namespace

void set_last_line(LastLine line) {
  last_line = line;
}

void configure_log(LogLevel level, LogFormat format) {
  current_level = level;
  current_format = format;
}

bool log_enabled(LogLevel level) {
  return level >= current_level.load();
}

void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (!log_enabled(level)) return;
  std::string line = current_format.load() == LogFormat::kJson ? json_line(level, message, fields)
                                                               : text_line(level, message, fields);
  if (last_line.load() == LastLine::kProgressBar) line.insert(0, kClearLine);
  // One write per line: lines of concurrent threads do not mix. A closed stderr is not an error.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace holdfast
