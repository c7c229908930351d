#pragma once
// Structured log lines on stderr, as text or as one JSON object a line. Thread-safe. Errors are
// logged once, where they are handled, never where they are thrown. A message or value with control
// characters, and a value with blanks, is written as a JSON string in the text form too. No secret
// is ever passed here.

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace holdfast {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };
enum class LogFormat { kText, kJson };

struct LogField {
  std::string_view key;
  std::string value;
};

// What stands on the terminal's last line: a line that is logged over a progress bar clears it
// first, and the bar draws itself anew below.
enum class LastLine { kFree, kProgressBar };
void set_last_line(LastLine line);

void configure_log(LogLevel level, LogFormat format);
bool log_enabled(LogLevel level);
void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

inline void log_debug(std::string_view message, std::initializer_list<LogField> fields = {}) {
  log(LogLevel::kDebug, message, fields);
}
inline void log_info(std::string_view message, std::initializer_list<LogField> fields = {}) {
  log(LogLevel::kInfo, message, fields);
}
inline void log_warning(std::string_view message, std::initializer_list<LogField> fields = {}) {
  log(LogLevel::kWarning, message, fields);
}

}  // namespace holdfast
