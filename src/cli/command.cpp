#include "cli/command.h"

#include "cli/output.h"

namespace holdfast::cli {

LoadedConfig& CommandContext::loaded() {
  HF_INVARIANT(parts_.loaded.has_value());  // the command's spec lacks Needs::kConfig
  return *parts_.loaded;
}

void CommandContext::warn(std::string text) {
  const std::lock_guard lock(mutex_);
  warnings_.push_back(std::move(text));
}

std::vector<std::string> CommandContext::warnings() const {
  const std::lock_guard lock(mutex_);
  return warnings_;
}

void CommandContext::write_stdout(ByteView bytes) {
  write_to_stdout(as_text(bytes));
}

}  // namespace holdfast::cli
