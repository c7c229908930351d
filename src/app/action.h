#pragma once
// An action for the audit log: a command that changes something, from its begin to its end.
//
// The begin is written before the command does anything, the end when its exit code is known; so a
//   command that was killed stands there with no end. The log is app/audit_log.h's.
// A log that cannot be written (its disk is full) must not keep anybody from taking a backup or
//   restoring one: such a command goes on, with a warning. What destroys is refused instead: it
//   can wait, and is what an audit asks for first (docs/decisions/0017-…).
// Its copy in the repository follows at the end, best effort; what could
//   not be copied is copied after a later action. The first repository has it.
// Threads: one at a time.

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "app/config.h"
#include "core/error.h"
#include "core/time.h"

namespace holdfast {

enum class ActionEffect { kOrdinary, kDestroys };

struct ActionStart {
  std::string command;
  std::vector<std::string> arguments;  // as typed; passwords in them are blanked out here
  std::string reason;
  ActionEffect effect = ActionEffect::kOrdinary;
};

struct ActionEnd {
  int exit = 0;
  int signal = 0;  // that ended it; 0: none
  const Error* error = nullptr;
  std::string subject = {};  // what came of it or whom it met: the id of a backup
};

using Warn = std::function<void(std::string)>;

class RecordedAction {
 public:
  // Throws only for kDestroys, when the begin could not be written.
  RecordedAction(const Config& config, const ActionStart& start, const Warn& warn);
  // Writes the end. Never throws.
  void end(const ActionEnd& end, const Warn& warn) noexcept;
  // Copies what is not in the repository yet; a repository that hangs is waited for. Never throws.
  void copy(const ActionEnd& end, const Warn& warn, const std::stop_token& stop) noexcept;

 private:
  const Config& config_;
  std::string id_, command_;
  Timestamp began_;
};

// Copies what the repository does not have. Returns how many lines were copied.
std::size_t copy_audit_log(const Config& config, const std::stop_token& stop);

}  // namespace holdfast
