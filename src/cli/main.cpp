// The program. Everything is in program.cpp; here is only what must hold even when that fails.
#include <cstring>
#include <exception>

#include "cli/output.h"
#include "cli/program.h"
#include "cli/signals.h"

namespace {

// Of a failure that was not even reported in the ordinary way. Allocates nothing.
int last_resort_exit(int argc, char** argv, int otherwise) noexcept {
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "archive-get") == 0) return 255;
  }
  return otherwise;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr int kExitBug = 70;
  try {
    holdfast::cli::ignore_sigpipe();
    return holdfast::cli::run_program({argv + 1, argv + argc});
  } catch (...) {
    try {
      const holdfast::Error error = holdfast::cli::to_error(std::current_exception());
      holdfast::cli::write_to_stderr(holdfast::cli::error_lines(error, {}));
      return last_resort_exit(argc, argv, holdfast::exit_code(error.kind()));
    } catch (...) {
      return last_resort_exit(argc, argv, kExitBug);
    }
  }
}
