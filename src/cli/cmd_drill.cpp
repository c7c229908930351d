// `drill`: bring a backup back in a place of its own, look at it, measure, clear up.
#include <charconv>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "app/copy_checks.h"
#include "app/drill.h"
#include "app/drill_preset.h"
#include "app/drill_report.h"
#include "cli/as_of_option.h"
#include "cli/command.h"
#include "cli/render.h"
#include "cli/target_options.h"
#include "cli/thaw_options.h"
#include "core/text.h"

namespace holdfast::cli {
namespace {

using Verdict = CheckResult::Verdict;

constexpr const char* kRandom = "random";

struct Arguments {
  DrillRequest request;
  std::string scratch;
  bool keep = false;
  std::optional<std::uint64_t> seed;
  DrillPreset preset = DrillPreset::kNone;
  std::optional<std::string> as_of;
  ThawOptions thaw;
  PipelineOptions pipeline;
};

std::string times_of(const DrillReport& report) {
  std::string text =
      fmt::format("  restore   {}, {}\n  replay    {}\n  checks    {}\n",
                  human_duration(Seconds(report.restore_seconds)), human_bytes(report.bytes),
                  human_duration(Seconds(report.replay_seconds)),
                  human_duration(Seconds(report.check_seconds)));
  if (report.last_transaction) {
    text += fmt::format("  newest transaction  {}\n", to_rfc3339_seconds(*report.last_transaction));
  }
  if (report.canary) {
    text += fmt::format("  last canary row     {}, number {}\n",
                        to_rfc3339_seconds(report.canary->written), report.canary->number);
  }
  if (report.recovery_point_seconds) {
    text += fmt::format("  recovery point      {}, by the {}\n",
                        human_duration(Seconds(*report.recovery_point_seconds)),
                        to_string(report.measured_by));
  }
  return text;
}

Cell cell_of(Verdict verdict) {
  const Colour colour = verdict == Verdict::kFailed    ? Colour::kRed
                        : verdict == Verdict::kSkipped ? Colour::kYellow
                                                       : Colour::kNone;
  return {std::string(holdfast::to_string(verdict)), colour};
}

std::string capitalised(std::string_view word) {
  std::string out(word);
  if (!out.empty() && out[0] >= 'a' && out[0] <= 'z')
    out[0] = static_cast<char>(out[0] - 'a' + 'A');
  return out;
}

std::string chance_text(const DrillReport& report) {
  if (!report.drawn) return "";
  return fmt::format("By chance (seed {}): {}. The same again:\n  {}\n", report.drawn->seed,
                     fmt::join(report.drawn->what, " and "), report.drawn->repeat);
}

std::string reports_text(const DrillReport& report) {
  std::string text = fmt::format("Report: {}\n", report.report.string());
  for (const auto& readable : report.readable)
    text += fmt::format("        {}\n", readable.string());
  return text;
}

std::string damage_text(const DrillReport& report, const Style& style) {
  const DamageReport& damage = *report.damage;
  const std::string verdict = damage.noticed ? style.paint(Colour::kGreen, "was noticed")
                                             : style.paint(Colour::kRed, "was not noticed");
  return fmt::format("The damage {} in {}:\n  {}\n", verdict, damage.object, damage.detail) +
         chance_text(report) + reports_text(report);
}

std::string text_of(const DrillReport& report, const Style& style) {
  if (report.damage) return damage_text(report, style);
  std::string title = report.preset == DrillPreset::kNone
                          ? "Drill"
                          : fmt::format("{} drill", capitalised(to_string(report.preset)));
  std::string text = fmt::format("{} of {} to {}: {}.\n", title,
                                 report.backup ? report.backup->name.id.text : "no backup",
                                 report.target.empty() ? "its target" : report.target,
                                 style.paint(report.passed() ? Colour::kGreen : Colour::kRed,
                                             std::string(to_string(report.verdict()))));
  if (!report.recovered_lsn.empty()) {
    text +=
        fmt::format("It answered after {}.\n", human_duration(Seconds(report.recovery_seconds())));
  }
  text += times_of(report);
  Table table({{"CHECK"}, {"RESULT"}, {"DETAIL"}});
  for (const CheckResult& check : report.checks) {
    table.add_row({check.name, cell_of(check.verdict), check.detail});
  }
  text += table.render(style) + chance_text(report);
  if (!report.data_directory.empty()) {
    text += fmt::format("The copy is kept in {}.\n", report.data_directory.string());
  }
  return text + reports_text(report);
}

std::string told_of(const DrillReport& report) {
  std::string text = fmt::format(
      "backup {} to {}: {}", report.backup ? report.backup->name.id.text : "none",
      report.target.empty() ? "its target" : report.target, to_string(report.verdict()));
  if (!report.recovered_lsn.empty()) {
    text += fmt::format(", answered after {}", human_duration(Seconds(report.recovery_seconds())));
  }
  if (report.recovery_point_seconds) {
    text +=
        fmt::format(", recovery point {}", human_duration(Seconds(*report.recovery_point_seconds)));
  }
  for (const CheckResult& check : report.checks) {
    if (check.verdict == Verdict::kFailed)
      text += fmt::format("; {}: {}", check.name, check.detail);
  }
  const std::string skipped = not_looked_at(report.checks);
  if (!skipped.empty()) text += "; not looked at: " + skipped;
  return text;
}

Option seed_option(std::optional<std::uint64_t>& into) {
  return {"--seed", "NUMBER", "Let chance fall as it did with this seed",
          [&into](const std::string& text) {
            std::uint64_t seed = 0;
            const char* const end = text.data() + text.size();
            const auto [at, error] = std::from_chars(text.data(), end, seed);
            if (error != std::errc{} || at != end) refuse_value("--seed", text, "a whole number");
            into = seed;
          }};
}

// What the words leave to chance.
void take_chance(Arguments& arguments) {
  DrillRequest& request = arguments.request;
  DrillChance& chance = request.chance;
  if (chance.backup && !request.backup.empty()) {
    throw Error(ErrorKind::kUsage, "either a backup or --random", {.object = request.backup});
  }
  if (request.point.time == kRandom) {
    chance.moment = DrillChance::Moment::kAny;
    request.point.time.reset();
  }
  chance.seed = arguments.seed;
  if (request.corrupt && arguments.keep) {
    throw Error(ErrorKind::kUsage, "a copy of what is damaged is not kept",
                {.object = "--corrupt --keep"});
  }
  const bool monthly = arguments.preset == DrillPreset::kMonthly;
  const bool yearly = arguments.preset == DrillPreset::kYearly;
  if (chance.seed && !chance.any() && !monthly && !yearly && !request.corrupt) {
    throw Error(
        ErrorKind::kUsage, "nothing is left to chance",
        {.object = "--seed", .hint = "It goes with --random, --target-time random and --corrupt."});
  }
}

CommandResult run(Arguments& arguments, CommandContext& context) {
  apply(arguments.pipeline, context.config());
  take_chance(arguments);
  arguments.request.scratch = arguments.scratch;
  arguments.request.thaw = arguments.thaw.choice();
  if (arguments.keep) arguments.request.remains = DrillRemains::kKeep;
  const Config& config = context.config();
  const std::string repository =
      apply_preset(config, arguments.preset, context.globals().repo, arguments.request);
  apply_as_of(arguments.as_of, context, repository);
  const DrillReport report = drill(config, find_repository(config, repository), arguments.request,
                                   context.progress(), context.stop());
  for (const std::string& warning : report.warnings) context.warn(warning);
  CommandResult result{.json = drill_report_json(report),
                       .text = text_of(report, context.style()),
                       .told = told_of(report)};
  result.json["report"] = report.report.string();
  result.json["reports"] = Json::array();
  for (const auto& readable : report.readable) {
    result.json["reports"].push_back(readable.string());
  }
  if (report.damage && !report.damage->noticed) {
    result.failure = Error(ErrorKind::kCheckFailed, "the damage was not noticed",
                           {.object = report.damage->object,
                            .hint = "'holdfast verify --deep' tells whether the backup is what it "
                                    "should be. This drill has to fail: please report it."});
  } else if (report.verdict() == CopyVerdict::kNotChecked) {
    result.failure =
        Error(ErrorKind::kCheckFailed,
              "the backup came back, but nobody has looked into it: skipped were " +
                  not_looked_at(report.checks),
              {.object = context.config().cluster, .hint = std::string(kLetItBeChecked)});
  } else if (!report.passed()) {
    result.failure = Error(
        ErrorKind::kCheckFailed, "the drill failed",
        {.object = report.backup ? report.backup->name.id.text : context.config().cluster,
         .hint = backup_passed(report.checks)
                     ? "The backup came back: an objective or a question of yours was missed, see "
                       "above. With --keep the copy stays for a closer look."
                     : "Take a new full backup now, then 'holdfast verify --all --deep' tells what "
                       "else is affected. With --keep the copy stays for a closer look."});
  }
  return result;
}

}  // namespace

CommandSpec drill_command() {
  auto arguments = std::make_shared<Arguments>();
  CommandSpec spec;
  spec.name = "drill";
  spec.summary = "Prove that a backup can be brought back, by doing it";
  spec.details =
      "Restores into a folder of its own, starts PostgreSQL there cut off from everything else,\n"
      "recovers to the target, checks files, indexes, tables and page checksums, measures, stores\n"
      "the result beside the backup as proof, and clears up. Exits 1 when anything failed.\n"
      "Presets: monthly to a moment by chance, quarterly everything with nothing but the\n"
      "repositories, yearly a backup by chance with nothing but the cold repository.\n"
      "Needs room for the whole cluster, and the programs of its PostgreSQL version.";
  spec.needs = Needs::kConfig;
  spec.arguments = {text_argument(
      "ID", "An id, a name, latest or oldest (default: the newest that reaches the target)",
      arguments->request.backup, Presence::kOptional)};
  spec.options = {
      choice_option<DrillPreset>(
          {"--preset", "The drill of the month, the quarter or the year; other options go first"},
          {{"monthly", DrillPreset::kMonthly},
           {"quarterly", DrillPreset::kQuarterly},
           {"yearly", DrillPreset::kYearly}},
          arguments->preset),
      switch_option({"--random", "Any backup from which the target can be reached, by chance"},
                    arguments->request.chance.backup),
      seed_option(arguments->seed),
      text_option({"--scratch", "DIR", "Where to make the copy (default: the state directory)"},
                  arguments->scratch),
      switch_option({"--keep", "Leave the copy there, stopped"}, arguments->keep),
      switch_option({"--corrupt", "See one object as rotten, and pass when that is noticed"},
                    arguments->request.corrupt),
      as_of_option(arguments->as_of)};
  add_thaw_options(spec.options, arguments->thaw);
  add_target_options(spec.options, arguments->request.point, arguments->request.history);
  for (Option& option : spec.options) {
    if (option.names == "--target-time") {
      option.help =
          "Recover to this point in time; now: the end of the archive; random:\n"
          "any that can be reached";
    }
  }
  add_pipeline_options(spec.options, arguments->pipeline);
  spec.examples = {{"holdfast drill", "The latest backup, to the end of the archive"},
                   {"holdfast drill --target-time -1h --scratch /srv/drills", "An hour ago"},
                   {"holdfast drill --target-time random", "To any moment of the window"},
                   {"holdfast drill --preset quarterly", "With nothing of what this machine keeps"},
                   {"holdfast drill --corrupt", "Would damage be noticed?"},
                   {"holdfast drill --random", "From any backup, to the end of the archive"}};
  spec.run = [arguments](CommandContext& context) { return run(*arguments, context); };
  return spec;
}

}  // namespace holdfast::cli
