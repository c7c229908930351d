// `archive-push`: PostgreSQL's archive_command.
#include <fmt/format.h>

#include "app/archive.h"
#include "cli/command.h"
#include "core/text.h"

namespace holdfast::cli {
namespace {

std::string_view word_of(PushOutcome outcome) {
  switch (outcome) {
    case PushOutcome::kStored:
      return "stored";
    case PushOutcome::kThereAlready:
      return "there already";
    case PushOutcome::kRemembered:
      return "stored ahead";
    case PushOutcome::kDropped:
      return "dropped";
    case PushOutcome::kOwed:
      return "owed";
  }
  return "stored";
}

// A repository that lacks what was pushed a moment ago is as it should be.
bool deserves_warning(const RepositoryLag& lag) {
  constexpr std::chrono::minutes kUnremarkable{5};
  return !lag.failure.empty() ||
         (lag.behind_since && system_clock().now() - *lag.behind_since > kUnremarkable);
}

Json behind_json(const std::vector<RepositoryLag>& behind) {
  Json json = Json::array();
  for (const RepositoryLag& lag : behind) {
    Json one{{"repository", lag.repository},
             {"missing", lag.missing},
             {"oldest", lag.oldest},
             {"checked", to_rfc3339(lag.checked)},
             {"failure", lag.failure}};
    if (lag.behind_since) one["since"] = to_rfc3339(*lag.behind_since);
    json.push_back(std::move(one));
  }
  return json;
}

// As loud as it can be: this is PostgreSQL's log.
void warn_of_loss(CommandContext& context, const ArchivePushAnswer& answer) {
  const std::string& file = answer.report.identity.file.text;
  if (answer.report.outcome == PushOutcome::kDropped) {
    context.warn(fmt::format(
        "WAL IS LOST: {} was dropped without being stored, because {} wait in pg_wal and "
        "wal.drop_when_behind allows {}: {}. Nothing from there to the end of the next backup can "
        "be recovered: repair the repository and take a backup",
        file, human_bytes(answer.backlog.waiting), human_bytes(answer.backlog.allowed),
        answer.dropped_because));
  }
  if (answer.report.outcome == PushOutcome::kOwed) {
    context.warn(file +
                 " is not stored yet; it will be, from pg_wal, when the repository takes it");
  }
}

CommandResult run(CommandContext& context, const std::string& path) {
  const ArchivePushAnswer answer = archive_push(context.config(), path, context.stop());
  const PushReport& report = answer.report;
  warn_of_loss(context, answer);
  for (const std::string& failed : report.failed) {
    context.warn("a repository does not have this WAL file yet: " + failed);
  }
  for (const RepositoryLag& lag : answer.behind) {
    if (deserves_warning(lag)) context.warn("a repository is behind: " + describe(lag));
  }
  for (const std::string& warning : answer.warnings) context.warn(warning);
  CommandResult result;
  result.json = {
      {"file", report.identity.file.text}, {"outcome", word_of(report.outcome)},
      {"bytes", report.identity.bytes},    {"content_bytes", report.identity.content_bytes},
      {"failed", report.failed},           {"behind", behind_json(answer.behind)}};
  return result;  // no text: PostgreSQL would put it into its log for every segment
}

}  // namespace

CommandSpec archive_push_command() {
  auto path = std::make_shared<std::string>();
  CommandSpec spec;
  spec.name = "archive-push";
  spec.summary = "Archive a WAL file; for PostgreSQL's archive_command";
  spec.details =
      "Exit 0 means that the file is durable in the repositories that wal.acknowledge asks for.\n"
      "With any other exit PostgreSQL keeps the file and tries again. The same file twice is "
      "fine;\n"
      "other content under its name is refused.";
  spec.needs = Needs::kConfig;
  spec.arguments = {text_argument("PATH", "The file in pg_wal; PostgreSQL's %p", *path)};
  spec.examples = {
      {"holdfast --config /etc/holdfast/main.yaml archive-push pg_wal/000000010000000000000001",
       "What PostgreSQL runs; 'holdfast init' prints the setting"}};
  spec.run = [path](CommandContext& context) { return run(context, *path); };
  return spec;
}

}  // namespace holdfast::cli
