#pragma once
// The one exception type of Holdfast. What ends an operation is thrown as Error; an outcome that a
// caller expects (object absent, name taken) is a return value instead. Nothing is logged where it
// is thrown: the command that handles the error reports it once. The kinds map to the exit codes
// of the command contract (docs/errors.md).

#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace holdfast {

enum class ErrorKind {
  kDamage,         // 1: stored or read bytes are not what was written
  kCheckFailed,    // 1: a check, drill or verification answered "no"
  kNotFound,       // 1: what was asked for is proven not to exist
  kUsage,          // 2: the command line
  kConfiguration,  // 2: the configuration file
  kWrongKey,       // 2: key file or passphrase does not open the repository
  kRefused,        // 3: refused, to protect data
  kNewerFormat,    // 3: written by a newer Holdfast
  kRepository,     // 4: repository unreachable or failing
  kPostgres,       // 5: PostgreSQL unreachable or failing
  kHost,           // 6: this machine: disk full, permission, memory
  kBug,            // 70: a defect in Holdfast
  kCancelled,      // ended by a signal; the program ends by that signal
};

// The contract's exit code; kCancelled has none and gives 70 if it is ever asked for.
int exit_code(ErrorKind kind);

// Stable lower-case name, as in the JSON output ("damage", "wrong_key" ...).
std::string_view to_string(ErrorKind kind);

struct ErrorContext {
  std::string object = {};  // what failed: an object name, a path, a configuration key
  std::string hint = {};    // what the user can do next
  bool retryable = false;   // the same call may succeed later
};

class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string message, ErrorContext context = {})
      : kind_(kind), message_(std::move(message)), context_(std::move(context)) {}

  ErrorKind kind() const { return kind_; }
  const std::string& message() const { return message_; }
  const std::string& object() const { return context_.object; }
  const std::string& hint() const { return context_.hint; }
  bool retryable() const { return context_.retryable; }
  const char* what() const noexcept override { return message_.c_str(); }

  // Adds, on the way up, what the caller was doing: "while: message". Returns *this.
  Error& during(std::string_view what_was_done);
  // Sets object or hint where the thrower did not know them. Return *this.
  Error& about(std::string_view object);
  Error& advise(std::string_view hint);

 private:
  ErrorKind kind_;
  std::string message_;
  ErrorContext context_;
};

// Throws kHost (kRefused never) with the text of `error_number` (an errno value) and a fitting hint
// for a full disk or a missing permission.
[[noreturn]] void throw_errno(int error_number, std::string_view doing, std::string_view object);

// An invariant of our own. Checked in release builds too; never for bytes from outside.
#define HF_INVARIANT(condition)                                                     \
  do {                                                                              \
    if (!(condition)) ::holdfast::invariant_failed(#condition, __FILE__, __LINE__); \
  } while (false)
[[noreturn]] void invariant_failed(const char* condition, const char* file, int line);

}  // namespace holdfast
