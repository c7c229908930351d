// `canary`: writes a row every few seconds, by which a drill measures the recovery point.
#include <fmt/format.h>

#include "app/canary.h"
#include "cli/command.h"
#include "cli/render.h"
#include "core/text.h"

namespace holdfast::cli {
namespace {

struct Arguments {
  std::optional<std::chrono::milliseconds> interval;
  bool once = false;
};

constexpr std::chrono::milliseconds kShortest{100};
constexpr std::chrono::hours kLongest{24};

Option interval_option(std::optional<std::chrono::milliseconds>& into) {
  return {"--interval", "TIME", "How often (default: canary.interval, else 5s)",
          [&into](const std::string& text) {
            into = parse_duration(text);
            if (into && *into >= kShortest && *into <= kLongest) return;
            refuse_value("--interval", text, "a time such as 5s, from 100ms to 24h");
          }};
}

std::string text_of(const CanaryAnswer& answer) {
  switch (answer.state) {
    case CanaryAnswer::State::kWritten:
      return fmt::format("row {} written at {}, {}", answer.row.number,
                         to_rfc3339(answer.row.written), answer.row.lsn);
    case CanaryAnswer::State::kReadOnly:
      return "nothing written: the server is a standby, or may not be written to";
    case CanaryAnswer::State::kOtherWrites:
      break;
  }
  return "nothing written: another canary is just writing";
}

CommandResult run(const Arguments& arguments, CommandContext& context) {
  const Config& config = context.config();
  if (!arguments.once) {
    CanaryLoop loop;
    if (config.canary.interval.count() > 0) loop.interval = config.canary.interval;
    if (arguments.interval) loop.interval = *arguments.interval;
    context.progress().phase("canary", 0);
    loop.answered = [&](const CanaryAnswer& answer) { context.progress().note(text_of(answer)); };
    run_canary(config, loop, context.stop());
  }
  const CanaryAnswer answer = write_canary(config, context.stop());
  CommandResult result{.text = text_of(answer) + "\n"};
  result.json["state"] = to_string(answer.state);
  const bool written = answer.state == CanaryAnswer::State::kWritten;
  result.json["number"] = written ? Json(answer.row.number) : Json();
  result.json["written"] = written ? Json(to_rfc3339(answer.row.written)) : Json();
  result.json["lsn"] = written ? Json(answer.row.lsn) : Json();
  return result;
}

}  // namespace

CommandSpec canary_command() {
  auto arguments = std::make_shared<Arguments>();
  CommandSpec spec;
  spec.name = "canary";
  spec.summary = "Write a row every few seconds, by which drills measure what would be lost";
  spec.details =
      "Into the table holdfast.canary of the database of postgres.connection, which it makes: "
      "time\n"
      "and position in WAL; the newest canary.keep rows stay. It runs until it is told to stop,\n"
      "survives restarts of the server, and writes nothing on a standby. A drill reads the last "
      "row\n"
      "in its copy. 'holdfast units' makes a service of it where canary.interval is set.";
  spec.needs = Needs::kConfig;
  spec.options = {interval_option(arguments->interval),
                  switch_option({"--once", "One row, and end"}, arguments->once)};
  spec.examples = {{"holdfast canary", "Until it is stopped"},
                   {"holdfast canary --once", "One row: does it work?"}};
  spec.run = [arguments](CommandContext& context) { return run(*arguments, context); };
  return spec;
}

}  // namespace holdfast::cli
