#pragma once
// How a command's end is told: the JSON document or the text, errors on stderr, the exit code.
// The document is docs/errors.md's: one object on stdout, on failure too, nothing else on stdout.

#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.h"

namespace holdfast::cli {

// What is reported in the end.
struct Outcome {
  std::string command;  // as typed where it is not known
  const CommandResult* result = nullptr;
  const Error* error = nullptr;  // with a result: the answer is "no"
  int exit = 0;
  std::vector<std::string> warnings = {};
};

std::string json_document(const Outcome& outcome);  // with a line end

// `holdfast: …`, `  object: …`, `  hint: …`; one line each, the last two where there is one.
std::string error_lines(const Error& error, const Style& style);

// Error as it is; bad_alloc is kHost; everything else is a bug, with a text that asks for a report.
Error to_error(std::exception_ptr thrown);

// Writes all of it. Throws kHost; when the reader has gone, ends the program by SIGPIPE as any
// filter does.
void write_to_stdout(std::string_view text);
void write_to_stderr(std::string_view text) noexcept;  // a closed stderr is not an error

}  // namespace holdfast::cli
