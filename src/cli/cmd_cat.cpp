// `cat`: part of a file out of a backup, to standard output.
#include "app/verify_operations.h"
#include "cli/as_of_option.h"
#include "cli/command.h"

namespace holdfast::cli {

CommandSpec cat_command() {
  struct Arguments {
    std::string id, path;
    std::uint64_t offset = 0;
    std::optional<std::uint64_t> bytes;
    std::optional<std::string> as_of;
  };
  auto arguments = std::make_shared<Arguments>();
  CommandSpec spec;
  spec.name = "cat";
  spec.summary = "Write a file of a backup, or part of it, to standard output";
  spec.details =
      "PATH is relative to the data directory; files of tablespaces are under pg_tblspc/<oid>/. "
      "Only what is asked for is read, and every block is checked before it is written.";
  spec.needs = Needs::kConfig;
  spec.stdout_use = Stdout::kRaw;
  spec.arguments = {text_argument("ID", "An id, a name, latest or oldest", arguments->id),
                    text_argument("PATH", "The file", arguments->path)};
  spec.options = {
      number_option({"--offset", "BYTES", "Where to begin (default: 0)"}, arguments->offset),
      bytes_option({"--length", "BYTES", "How much (default: to the end)"}, arguments->bytes),
      as_of_option(arguments->as_of)};
  spec.examples = {
      {"holdfast cat latest postgresql.conf", "The configuration as it was backed up"},
      {"holdfast cat latest base/5/16384 --offset 8192 --length 8192", "Block 1 of a relation"}};
  spec.run = [arguments](CommandContext& context) {
    apply_as_of(arguments->as_of, context);
    cat(
        context.config(), context.repository(), arguments->id,
        {.path = arguments->path, .offset = arguments->offset, .length = arguments->bytes},
        [&](ByteView bytes) { context.write_stdout(bytes); }, context.stop());
    return CommandResult{};
  };
  return spec;
}

}  // namespace holdfast::cli
