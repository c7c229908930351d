#include "cli/output.h"

#include <cerrno>
#include <new>

#include <fmt/format.h>
#include <unistd.h>

#include "cli/signals.h"
#include "core/redact.h"

namespace holdfast::cli {
namespace {

constexpr std::string_view kReportHint =
    "This is a defect in Holdfast. Please report it with the command and its log.";

Json error_json(const Error& error, int exit) {
  return {{"kind", to_string(error.kind())},
          {"exit", exit},
          {"message", redact_secrets(error.message())},
          {"object", redact_secrets(error.object())},
          {"hint", redact_secrets(error.hint())}};
}

std::string shown(const std::string& text) {
  return printable(redact_secrets(text));
}

}  // namespace

std::string json_document(const Outcome& outcome) {
  Json document{{"schema", 1}, {"command", outcome.command}, {"ok", outcome.error == nullptr}};
  if (outcome.result != nullptr) document["result"] = outcome.result->json;
  if (outcome.error != nullptr) document["error"] = error_json(*outcome.error, outcome.exit);
  document["warnings"] = Json::array();
  for (const std::string& warning : outcome.warnings) {
    document["warnings"].push_back(redact_secrets(warning));
  }
  // File names and server messages need not be UTF-8; the document always is.
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string error_lines(const Error& error, const Style& style) {
  std::string out =
      fmt::format("{} {}\n", style.paint(Colour::kRed, "holdfast:"), shown(error.message()));
  if (!error.object().empty()) {
    out += fmt::format("  {} {}\n", style.paint(Colour::kDim, "object:"), shown(error.object()));
  }
  if (!error.hint().empty()) {
    out += fmt::format("  {} {}\n", style.paint(Colour::kBold, "hint:"), shown(error.hint()));
  }
  return out;
}

Error to_error(std::exception_ptr thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return {
        ErrorKind::kHost, "out of memory", {.hint = "Lower --memory or --jobs, or free memory."}};
  } catch (const std::exception& error) {
    return {ErrorKind::kBug,
            fmt::format("unexpected error: {}", error.what()),
            {.hint = std::string(kReportHint)}};
  } catch (...) {
    return {
        ErrorKind::kBug, "unexpected error of an unknown type", {.hint = std::string(kReportHint)}};
  }
}

void write_to_stdout(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EPIPE) {
      end_by_signal(SIGPIPE);
    } else if (errno != EINTR) {
      throw_errno(errno, "write", "standard output");
    }
  }
}

void write_to_stderr(std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace holdfast::cli
