#include "cli/program.h"

#include <algorithm>

#include <unistd.h>

#include "app/archive.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/output.h"
#include "cli/parse.h"
#include "cli/progress_display.h"
#include "cli/recorded.h"
#include "cli/signals.h"
#include "core/redact.h"

namespace holdfast::cli {
namespace {

constexpr std::string_view kArchiveGet = "archive-get";
constexpr int kExitUnknown = 255;     // of archive-get: not known whether the file is there
constexpr int kExitOnStandby = 1;     // of archive-get: PostgreSQL goes on with streaming
constexpr int kExitSignalBase = 128;  // what a shell makes of a death by signal

void configure_logging(const GlobalOptions& globals) {
  if (globals.quiet && globals.verbose > 0) {
    throw Error(ErrorKind::kUsage, "-q and -v contradict each other");
  }
  LogLevel level = LogLevel::kWarning;
  if (globals.quiet) level = LogLevel::kError;
  if (globals.verbose > 0) level = globals.verbose > 1 ? LogLevel::kDebug : LogLevel::kInfo;
  configure_log(globals.log_level.value_or(level), globals.log_format);
}

ProgressForm progress_form(const GlobalOptions& globals) {
  if (globals.quiet || globals.no_progress) return ProgressForm::kHidden;
  // A bar between log lines would spoil both.
  if (globals.verbose > 0) return ProgressForm::kLogLines;
  const bool bar = is_terminal(STDERR_FILENO) && globals.log_format == LogFormat::kText;
  return bar ? ProgressForm::kBar : ProgressForm::kHidden;
}

bool is_first_of_two_words(const std::string& word) {
  const auto& commands = all_commands();
  return std::any_of(commands.begin(), commands.end(), [&](const CommandSpec& command) {
    return command.name.starts_with(word + " ");
  });
}

class Program {
 public:
  explicit Program(const Words& words) : words_(words), format_(peek_output_format(words)) {}

  int run() {
    try {
      understand();
      format_ = globals_.output;
      configure_logging(globals_);
      return run_command();
    } catch (...) {
      return report_error(to_error(std::current_exception()), {});
    }
  }

 private:
  enum class Act { kRun, kHelpOnProgram, kHelpOnCommand };

  // Takes the words apart, into globals_, command_ and act_.
  void understand() {
    Words rest = parse_front(globals_, words_);
    if (rest.empty() && globals_.version) rest = {"version"};
    if (rest.empty() && globals_.help) {
      act_ = Act::kHelpOnProgram;
      return;
    }
    if (rest.empty())
      throw Error(ErrorKind::kUsage, "no command", {.hint = "See `holdfast help`."});
    Words name{rest.front()};
    rest.erase(rest.begin());
    typed_ = name.front();
    if (is_first_of_two_words(name.front())) {
      rest = parse_front(globals_, rest);
      if (rest.empty() && globals_.help) {
        act_ = Act::kHelpOnProgram;
        return;
      }
      if (!rest.empty()) name.push_back(rest.front());
    }
    const FoundCommand found = find_command(name);
    command_ = found.command;
    typed_ = command_->name;
    if (found.words == 2) rest.erase(rest.begin());
    parse_rest(globals_, *command_, rest);
    if (globals_.help) act_ = Act::kHelpOnCommand;
  }

  int run_command() {
    if (act_ == Act::kHelpOnProgram) return report(program_help(Style::of(STDOUT_FILENO)), {});
    if (act_ == Act::kHelpOnCommand) {
      return report(command_help(*command_, Style::of(STDOUT_FILENO)), {});
    }
    if (command_->stdout_use == Stdout::kRaw && format_ == OutputFormat::kJson) {
      throw Error(
          ErrorKind::kUsage,
          command_->name + " writes its own bytes to standard output, so it has no JSON form");
    }
    std::optional<LoadedConfig> loaded;
    if (command_->needs == Needs::kConfig) {
      loaded = load_config({.file = globals_.config, .cluster = globals_.cluster});
    }
    // Only now: until here nothing needs cleaning up, and a signal ends the program at once, even
    // while the configuration is read from something that blocks.
    SignalWatcher signals;
    ProgressDisplay progress(progress_form(globals_));
    CommandContext context({.globals = globals_,
                            .progress = progress,
                            .stop = signals.token(),
                            .style = Style::of(STDOUT_FILENO),
                            .loaded = std::move(loaded)});
    return run_watched(context, progress, signals);
  }

  int run_watched(CommandContext& context, ProgressDisplay& progress,
                  const SignalWatcher& signals) {
    std::optional<RecordedCommand> record;
    try {
      record.emplace(*command_, words_, context);
      record->begin();
      const CommandResult result = command_->run(context);
      progress.finish();
      record->ended({.result = &result, .error = failure_of(result), .exit = exit_of(result)});
      if (result.becomes) return become(result, context.warnings());
      return report(result, context.warnings());
    } catch (...) {
      const Error error = to_error(std::current_exception());
      progress.finish();
      const int signal = signals.received();
      const int exit = signal == 0 ? exit_of(error) : kExitSignalBase + signal;
      if (record) record->ended({.error = &error, .exit = exit, .signal = signal});
      if (signal == 0) return report_error(error, context.warnings());
      report_outcome(
          {.command = typed_, .error = &error, .exit = exit, .warnings = context.warnings()});
      end_by_signal(signal);
    }
  }

  // Warnings first: the other program does not come back.
  int become(const CommandResult& result, const std::vector<std::string>& warnings) {
    print_warnings(warnings);
    try {
      result.becomes();
      return exit_of(result);
    } catch (...) {
      return report_error(to_error(std::current_exception()), {});
    }
  }

  static const Error* failure_of(const CommandResult& result) {
    return result.failure ? &*result.failure : nullptr;
  }

  static int exit_of(const CommandResult& result) {
    return result.exit.value_or(result.failure ? exit_code(result.failure->kind()) : 0);
  }

  int report(const CommandResult& result, std::vector<std::string> warnings) {
    return report_outcome({.command = typed_,
                           .result = &result,
                           .error = failure_of(result),
                           .exit = exit_of(result),
                           .warnings = std::move(warnings)});
  }

  int report_error(const Error& error, std::vector<std::string> warnings) {
    if (command_ != nullptr && command_->on_error) {
      if (const auto result = command_->on_error(error)) return report(*result, warnings);
    }
    return report_outcome({.command = typed_,
                           .error = &error,
                           .exit = exit_of(error),
                           .warnings = std::move(warnings)});
  }

  // Invariant 5: whatever goes wrong when PostgreSQL asks for WAL must not look like "no such
  // file". For a standby it may: there it only means to go on with streaming.
  int exit_of(const Error& error) const {
    const bool asked_for_wal =
        command_ != nullptr ? command_->name == kArchiveGet
                            : std::find(words_.begin(), words_.end(), kArchiveGet) != words_.end();
    if (!asked_for_wal) return exit_code(error.kind());
    return is_called_by_standby() ? kExitOnStandby : kExitUnknown;
  }

  int report_outcome(const Outcome& outcome) const {
    if (format_ == OutputFormat::kJson) {
      write_to_stdout(json_document(outcome));
      return outcome.exit;
    }
    if (outcome.result != nullptr) write_to_stdout(outcome.result->text);
    print_warnings(outcome.warnings);
    if (outcome.error != nullptr) {
      report_error_as_text(*outcome.error, Style::of(STDERR_FILENO));
    }
    return outcome.exit;
  }

  static void print_warnings(const std::vector<std::string>& warnings) {
    const Style style = Style::of(STDERR_FILENO);
    for (const std::string& warning : warnings) {
      write_to_stderr(style.paint(Colour::kYellow, "holdfast: warning:") + " " +
                      printable(redact_secrets(warning)) + "\n");
    }
  }

  void report_error_as_text(const Error& error, const Style& style) const {
    if (globals_.log_format == LogFormat::kText) {
      write_to_stderr(error_lines(error, style));
    } else {
      log(LogLevel::kError, error.message(),
          {{"kind", std::string(to_string(error.kind()))},
           {"object", error.object()},
           {"hint", error.hint()}});
    }
  }

  const Words& words_;
  OutputFormat format_;
  GlobalOptions globals_;
  const CommandSpec* command_ = nullptr;
  std::string typed_;  // the command, as far as it was understood
  Act act_ = Act::kRun;
};

}  // namespace

int run_program(const std::vector<std::string>& words) {
  return Program(words).run();
}

}  // namespace holdfast::cli
