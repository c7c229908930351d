// `notify`: a message to those that `notify` of the configuration names.
#include <cstdlib>

#include <fmt/format.h>

#include "app/notify.h"
#include "cli/command.h"
#include "cli/render.h"

namespace holdfast::cli {
namespace {

struct NotifyArguments {
  bool test = false;
  std::string unit;
};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

Notice notice_of(const NotifyArguments& arguments) {
  Notice notice{.command = "notify", .time = system_clock().now()};
  if (arguments.test) {
    notice.event = "test";
    notice.text = "this is a test of Holdfast's notifications";
    return notice;
  }
  const std::string result = variable("MONITOR_SERVICE_RESULT");
  notice.event = kUnitEvent;
  notice.failed = true;
  notice.exit = 1;
  notice.text = fmt::format("the unit {} FAILED{}; see: journalctl -u {}", arguments.unit,
                            result.empty() ? "" : " (" + result + ")", arguments.unit);
  return notice;
}

CommandResult result_of(const std::vector<Delivery>& deliveries, CommandContext& context) {
  CommandResult result;
  result.json["deliveries"] = Json::array();
  Table table({{""}, {"WAY"}, {"ATTEMPTS", Align::kRight}, {"DETAIL"}});
  int failed = 0;
  for (const Delivery& delivery : deliveries) {
    const bool ok = !delivery.error;
    failed += ok ? 0 : 1;
    const std::string detail = ok ? std::string() : delivery.error->message();
    result.json["deliveries"].push_back({{"way", delivery.way},
                                         {"ok", ok},
                                         {"attempts", delivery.attempts},
                                         {"error", ok ? Json() : Json(detail)}});
    table.add_row({ok ? Cell("sent", Colour::kGreen) : Cell("failed", Colour::kRed), delivery.way,
                   std::to_string(delivery.attempts), detail});
  }
  result.text = table.empty() ? "Nobody is to be told.\n" : table.render(context.style());
  if (failed > 0) {
    result.failure.emplace(ErrorKind::kCheckFailed,
                           fmt::format("{} of {} could not be told", failed, deliveries.size()),
                           ErrorContext{.hint = "See 'notify' in docs/configuration.md."});
  }
  return result;
}

CommandResult run_notify(const NotifyArguments& arguments, CommandContext& context) {
  if (arguments.test != arguments.unit.empty()) {
    throw Error(ErrorKind::kUsage, "either --test or --unit says what is told");
  }
  const Config& config = context.config();
  if (arguments.test && config.notify.empty()) {
    throw Error(ErrorKind::kConfiguration, "the configuration says nobody who is to be told",
                {.object = config.file.string(), .hint = "Add 'notify:' (docs/configuration.md)."});
  }
  const std::string invocation = variable("MONITOR_INVOCATION_ID");
  if (!arguments.test && was_told(config, invocation)) return result_of({}, context);
  const auto audience =
      arguments.test ? NoticeAudience::kEverybody : NoticeAudience::kWhoeverWantsIt;
  return result_of(notify(config, notice_of(arguments), audience, context.stop()), context);
}

}  // namespace

CommandSpec notify_command() {
  auto arguments = std::make_shared<NotifyArguments>();
  CommandSpec spec;
  spec.name = "notify";
  spec.summary = "Send a message to those that the configuration names";
  spec.details =
      "Commands tell of their end by themselves. This is to try it, and for systemd, which tells\n"
      "of a unit that failed: a command that was killed cannot do so.";
  spec.needs = Needs::kConfig;
  spec.options = {
      switch_option({"--test", "A test message, to everybody; exit 1 when one was not reached"},
                    arguments->test),
      text_option({"--unit", "NAME", "This unit of systemd failed; not if its command told so"},
                  arguments->unit)};
  spec.examples = {{"holdfast notify --test", "Does it arrive?"}};
  spec.run = [arguments](CommandContext& context) { return run_notify(*arguments, context); };
  return spec;
}

}  // namespace holdfast::cli
