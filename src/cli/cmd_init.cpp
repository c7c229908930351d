// `init`: create the repository if needed and register this cluster.
#include <fmt/format.h>

#include "app/operations.h"
#include "cli/command.h"
#include "cli/render.h"

namespace holdfast::cli {
namespace {

CommandResult run(CommandContext& context) {
  const InitResult done = init(context.config(), context.repository(), context.stop());
  for (const std::string& warning : done.warnings) context.warn(warning);
  const HistoryRecord& history = done.registration.history;
  return {.json = {{"repository", done.repository},
                   {"repository_created", done.repository_created},
                   {"encrypted", done.encrypted},
                   {"cluster", context.config().cluster},
                   {"cluster_registered", done.registration.created},
                   {"history", to_string(history.name)},
                   {"system_identifier", json_of_system_identifier(history.name.system_identifier)},
                   {"postgres_version_num", history.postgres_version_num},
                   {"wal_segment_bytes", history.wal_segment_size.bytes}},
          .text = fmt::format(
              "Repository {} {}.\nCluster '{}' {} (system identifier {}).\n", done.repository,
              done.repository_created ? "created" : "was there already", context.config().cluster,
              done.registration.created ? "registered" : "was registered already",
              history.name.system_identifier)};
}

}  // namespace

CommandSpec init_command() {
  CommandSpec spec;
  spec.name = "init";
  spec.summary = "Create the repository if needed and register this cluster";
  spec.details = "May be repeated: what is there already is left as it is.";
  spec.needs = Needs::kConfig;
  spec.examples = {{"holdfast init", "With the configuration in /etc/holdfast"},
                   {"holdfast --config ./db.yaml --repo cold init", "A second repository"}};
  spec.run = run;
  return spec;
}

}  // namespace holdfast::cli
