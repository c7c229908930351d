#include "core/error.h"

#include <cerrno>
#include <system_error>

namespace holdfast {

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kDamage:
    case ErrorKind::kCheckFailed:
    case ErrorKind::kNotFound:
      return 1;
    case ErrorKind::kUsage:
    case ErrorKind::kConfiguration:
    case ErrorKind::kWrongKey:
      return 2;
    case ErrorKind::kRefused:
    case ErrorKind::kNewerFormat:
      return 3;
    case ErrorKind::kRepository:
      return 4;
    case ErrorKind::kPostgres:
      return 5;
    case ErrorKind::kHost:
      return 6;
    case ErrorKind::kBug:
    case ErrorKind::kCancelled:
      return 70;
  }
  return 70;
}

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kDamage:
      return "damage";
    case ErrorKind::kCheckFailed:
      return "check_failed";
    case ErrorKind::kNotFound:
      return "not_found";
    case ErrorKind::kUsage:
      return "usage";
    case ErrorKind::kConfiguration:
      return "configuration";
    case ErrorKind::kWrongKey:
      return "wrong_key";
    case ErrorKind::kRefused:
      return "refused";
    case ErrorKind::kNewerFormat:
      return "newer_format";
    case ErrorKind::kRepository:
      return "repository";
    case ErrorKind::kPostgres:
      return "postgres";
    case ErrorKind::kHost:
      return "host";
    case ErrorKind::kBug:
      return "bug";
    case ErrorKind::kCancelled:
      return "cancelled";
  }
  return "bug";
}

Error& Error::during(std::string_view what_was_done) {
  message_ = fmt::format("{}: {}", what_was_done, message_);
  return *this;
}

Error& Error::about(std::string_view object) {
  if (context_.object.empty()) context_.object = object;
  return *this;
}

Error& Error::advise(std::string_view hint) {
  if (context_.hint.empty()) context_.hint = hint;
  return *this;
}

void throw_errno(int error_number, std::string_view doing, std::string_view object) {
  ErrorContext context{.object = std::string(object)};
  if (error_number == ENOSPC || error_number == EDQUOT) {
    context.hint = "Free space on the file system that holds it, then run the command again.";
  } else if (error_number == EACCES || error_number == EPERM) {
    context.hint = "Give the user that runs holdfast access to it, or run holdfast as its owner.";
  }
  throw Error(
      ErrorKind::kHost,
      fmt::format("cannot {} {}: {}", doing, object, std::generic_category().message(error_number)),
      std::move(context));
}

void invariant_failed(const char* condition, const char* file, int line) {
  throw Error(
      ErrorKind::kBug, fmt::format("internal check failed: {} ({}:{})", condition, file, line),
      {.hint = "This is a defect in Holdfast. Please report it with the command and its log."});
}

}  // namespace holdfast
