// `archive-get`: PostgreSQL's restore_command. Exits 0, 1 or 255 and nothing else (invariant 5).
#include <fmt/format.h>

#include "app/archive.h"
#include "cli/as_of_option.h"
#include "cli/command.h"
#include "core/cancellation.h"

namespace holdfast::cli {
namespace {

constexpr int kExitAbsent = 1;     // PostgreSQL takes it as "the archive ends here"
constexpr int kExitUnknown = 255;  // PostgreSQL stops recovery

std::string_view word_of(ArchiveGetAnswer::Source source) {
  switch (source) {
    case ArchiveGetAnswer::Source::kPrefetched:
      return "prefetched";
    case ArchiveGetAnswer::Source::kAwaited:
      return "awaited";
    case ArchiveGetAnswer::Source::kRepository:
      break;
  }
  return "repository";
}

CommandResult run(CommandContext& context, const ArchiveGetRequest& request) {
  using Kind = ArchiveGetAnswer::Kind;
  const ArchiveGetAnswer answer = archive_get(context.config(), request, context.stop());
  check_cancelled(context.stop());  // a signal: the program ends by it
  CommandResult result;
  result.json = {{"file", request.file}, {"found", answer.kind == Kind::kRestored}};
  if (answer.kind == Kind::kRestored) {
    result.json["source"] = word_of(answer.source);
    return result;
  }
  result.exit = answer.kind == Kind::kUnknown ? kExitUnknown : kExitAbsent;
  result.failure = answer.failure;
  // That the archive ends is nothing to report: a standby asks every few seconds.
  if (answer.kind == Kind::kAbsent && context.globals().output == OutputFormat::kJson) {
    result.failure.emplace(ErrorKind::kNotFound, "not in the archive",
                           ErrorContext{.object = request.file});
  }
  if (answer.kind == Kind::kUnknownOnStandby) {
    context.warn("the archive could not be asked; this standby goes on without it for now");
  }
  if (answer.kind == Kind::kUnknownHasOwnCopy) {
    context.warn(
        "the archive could not be asked; PostgreSQL uses its own copy of the timeline history");
  }
  if (answer.kind == Kind::kUnknownAtPromotion) {
    context.warn(
        "the archive could not be asked; wal.promote_without_archive lets this standby "
        "promote with what it has");
  }
  return result;
}

}  // namespace

CommandSpec archive_get_command() {
  auto request = std::make_shared<ArchiveGetRequest>();
  auto destination = std::make_shared<std::string>();
  auto as_of = std::make_shared<std::optional<std::string>>();
  CommandSpec spec;
  spec.name = "archive-get";
  spec.summary = "Fetch a WAL file; for PostgreSQL's restore_command";
  spec.details =
      "Exit 0: the file is in its place. Exit 1: it is proven not to be in the archive. Exit 255:\n"
      "not known, so PostgreSQL stops instead of ending recovery too early. On a standby, where\n"
      "stopping would shut the server down, an unknown answer is exit 1 and PostgreSQL asks again.";
  spec.needs = Needs::kConfig;
  spec.arguments = {text_argument("NAME", "The file's name; PostgreSQL's %f", request->file),
                    text_argument("DEST", "Where to put it; PostgreSQL's %p", *destination)};
  spec.options = {
      text_option({"--history", "NNNN-ID", "History to read; else that of the data directory"},
                  request->history),
      as_of_option(*as_of)};
  spec.examples = {{"holdfast archive-get 000000010000000000000001 pg_wal/RECOVERYXLOG",
                    "What PostgreSQL runs; 'holdfast restore' writes the setting"}};
  spec.run = [request, destination, as_of](CommandContext& context) {
    request->destination = *destination;
    apply_as_of(*as_of, context);
    return run(context, *request);
  };
  return spec;
}

}  // namespace holdfast::cli
