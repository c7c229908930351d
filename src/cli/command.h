#pragma once
// What a command is. How to add one:
//
//  1. Write src/cli/cmd_<name>.cpp with one function that describes the command:
//
//       CommandSpec show_command() {
//         struct Arguments { std::string id; bool files = false; };
//         auto arguments = std::make_shared<Arguments>();       // outlives parsing and run
//         CommandSpec spec;
//         spec.name = "show";                                   // two words for "key list"
//         spec.summary = "Show one backup";
//         spec.needs = Needs::kConfig;
//         spec.arguments = {text_argument("ID", "An id, a name, latest or oldest", arguments->id)};
//         spec.options = {switch_option({"--files", "List every file"}, arguments->files)};
//         spec.examples = {{"holdfast show latest", "The newest backup"}};   // required
//         spec.run = [arguments](CommandContext& context) {
//           const BackupDetails details = show_backup(context.config(), …);  // the one call
//           return CommandResult{.json = …, .text = …};
//         };
//         return spec;
//       }
//
//  2. Declare it and put it into the list in commands.cpp.
//
// The function makes the description only: it runs at every start of the program, so it reads no
// file and starts nothing. Parsing, --help, "did you mean", the JSON envelope, error printing, exit
// codes, progress and signals are the frame's. `run` throws Error, and returns when the operation
// is over; a result that says "no" (damage found, a check failed) is a CommandResult with
// `failure`, so that the findings are printed as well as the error. render.h has tables and JSON
// helpers.

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "app/config.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "core/error.h"
#include "core/progress.h"

namespace holdfast::cli {

using Json = nlohmann::ordered_json;

struct CommandResult {
  Json json = Json::object();         // "result" of the JSON document
  std::string text = {};              // for people, complete with line ends
  std::string told = {};              // one line for whoever is told of the end (app/notify.h)
  std::optional<Error> failure = {};  // the answer is "no": printed too, and gives the exit code
  std::optional<int> exit = {};       // where the contract says another one (archive-get)
  // Another program takes this one's place, once its end was recorded. It does not return.
  std::function<void()> becomes = {};
};

struct Example {
  std::string command, what;
};

// kConfig: the configuration is read before `run`, while a signal still ends the program at once.
enum class Needs { kNothing, kConfig };
// kRaw: the command writes its own bytes to stdout (write_stdout) and has no JSON form.
enum class Stdout { kDocument, kRaw };

// kHidden: started by the program itself; not in the list of commands.
enum class Visibility { kListed, kHidden };

class CommandContext {
 public:
  struct Parts {
    GlobalOptions globals;
    Progress& progress;
    std::stop_token stop;
    Style style;  // of stdout
    std::optional<LoadedConfig> loaded;
  };
  explicit CommandContext(Parts parts) : parts_(std::move(parts)) {}

  const GlobalOptions& globals() const { return parts_.globals; }
  // Only with Needs::kConfig. Not const: options of the command line override it (see apply()).
  Config& config() { return loaded().config; }
  LoadedConfig& loaded();
  // The one named by --repo, else the first.
  const RepositoryConfig& repository() { return find_repository(config(), parts_.globals.repo); }
  Progress& progress() { return parts_.progress; }
  std::stop_token stop() const { return parts_.stop; }
  const Style& style() const { return parts_.style; }

  // A line for "warnings" of the JSON document, and on stderr in text mode. Thread-safe.
  void warn(std::string text);
  std::vector<std::string> warnings() const;

  // Only with Stdout::kRaw. Throws kHost when stdout cannot be written.
  void write_stdout(ByteView bytes);

 private:
  Parts parts_;
  mutable std::mutex mutex_;
  std::vector<std::string> warnings_;
};

struct CommandSpec {
  std::string name;
  std::string summary;  // one line, without a full stop
  std::string details = {};
  Visibility visibility = Visibility::kListed;
  Needs needs = Needs::kNothing;
  Stdout stdout_use = Stdout::kDocument;
  std::vector<Argument> arguments = {};
  std::vector<Option> options = {};
  std::vector<Example> examples = {};
  std::function<CommandResult(CommandContext&)> run = {};
  // What is printed instead of an error, of the configuration too, where somebody else's contract
  // says how (`status --nagios`). nullopt: the error as usual.
  std::function<std::optional<CommandResult>(const Error&)> on_error = {};
};

}  // namespace holdfast::cli
