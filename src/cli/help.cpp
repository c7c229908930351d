#include "cli/help.h"

#include <algorithm>

#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/render.h"
#include "core/text.h"

namespace holdfast::cli {
namespace {

const std::vector<Example>& program_examples() {
  static const std::vector<Example> examples{
      {"holdfast config check", "Is the configuration right?"},
      {"holdfast help config show", "Help on one command"},
      {"holdfast version --output json", "The same as JSON, for scripts"},
  };
  return examples;
}

std::string section(const std::string& title, const Style& style) {
  return "\n" + style.paint(Colour::kBold, title) + "\n";
}

// "  left   right" lines with the right sides under each other.
struct Line {
  std::string left, right;
};
std::string render_lines(const std::vector<Line>& lines) {
  constexpr std::size_t kLeftMax = 34;
  std::size_t width = 0;
  for (const Line& line : lines) {
    if (display_width(line.left) <= kLeftMax) width = std::max(width, display_width(line.left));
  }
  std::string out;
  for (const Line& line : lines) {
    if (display_width(line.left) > kLeftMax) {
      out += fmt::format("  {}\n  {:{}}  {}\n", line.left, "", width, line.right);
    } else {
      out += fmt::format("  {:{}}  {}\n", line.left, width, line.right);
    }
  }
  return out;
}

std::string shape_of(const Option& option) {
  std::string shape = option.names;
  if (const auto comma = shape.find(','); comma != std::string::npos) shape.insert(comma + 1, " ");
  return option.value.empty() ? shape : shape + " " + option.value;
}

std::string render_options(const std::vector<Option>& options) {
  std::vector<Line> lines;
  for (const Option& option : options) {
    lines.push_back(
        {shape_of(option), option.help + (option.repeat == Repeat::kMany && !option.value.empty()
                                              ? " (may be repeated)"
                                              : "")});
  }
  return render_lines(lines);
}

std::string render_examples(const std::vector<Example>& examples) {
  std::vector<Line> lines;
  for (const Example& example : examples) lines.push_back({example.command, example.what});
  return render_lines(lines);
}

std::string usage_of(const CommandSpec& command) {
  std::string usage = "holdfast " + command.name;
  for (const Argument& argument : command.arguments) {
    std::string name = argument.name + (argument.repeat == Repeat::kMany ? "…" : "");
    if (argument.presence == Presence::kOptional) name = "[" + name + "]";
    usage += " " + name;
  }
  return command.options.empty() ? usage : usage + " [OPTIONS]";
}

Json options_json(const std::vector<Option>& options) {
  Json out = Json::array();
  for (const Option& option : options) {
    out.push_back({{"names", option.names}, {"value", option.value}, {"help", option.help}});
  }
  return out;
}

Json examples_json(const std::vector<Example>& examples) {
  Json out = Json::array();
  for (const Example& example : examples) {
    out.push_back({{"command", example.command}, {"what", example.what}});
  }
  return out;
}

[[noreturn]] void refuse_unknown(const std::string& word) {
  const auto& later = later_commands();
  if (std::find(later.begin(), later.end(), word) != later.end()) {
    throw Error(ErrorKind::kUsage, fmt::format("'{}' is not in this build yet", word),
                {.hint = "See `holdfast help` for the commands that are."});
  }
  std::vector<std::string> names;
  for (const CommandSpec& command : all_commands()) {
    if (command.visibility == Visibility::kHidden) continue;
    names.push_back(command.name.substr(0, command.name.find(' ')));
  }
  const auto close = nearest(word, names);
  throw Error(ErrorKind::kUsage, fmt::format("unknown command '{}'", word),
              {.hint = close ? fmt::format("Did you mean '{}'?", *close)
                             : "See `holdfast help` for the commands."});
}

}  // namespace

CommandResult program_help(const Style& style) {
  GlobalOptions ignored;
  const std::vector<Option> globals = global_options(ignored);
  CommandResult result;
  result.text =
      "Holdfast protects PostgreSQL and proves that it can bring it back.\n\n"
      "Usage: holdfast [OPTIONS] COMMAND …\n";
  std::vector<Line> lines;
  Json commands = Json::array();
  for (const CommandSpec& command : all_commands()) {
    if (command.visibility == Visibility::kHidden) continue;
    lines.push_back({command.name, command.summary});
    commands.push_back({{"name", command.name}, {"summary", command.summary}});
  }
  result.text += section("Commands", style) + render_lines(lines);
  result.text += section("Options of every command", style) + render_options(globals);
  result.text += section("Examples", style) + render_examples(program_examples());
  result.json = {{"commands", commands},
                 {"options", options_json(globals)},
                 {"examples", examples_json(program_examples())}};
  return result;
}

CommandResult command_help(const CommandSpec& command, const Style& style) {
  CommandResult result;
  result.text = fmt::format("{}.\n\nUsage: {}\n", command.summary, usage_of(command));
  if (!command.details.empty()) result.text += "\n" + command.details + "\n";
  Json arguments = Json::array();
  std::vector<Line> lines;
  for (const Argument& argument : command.arguments) {
    lines.push_back({argument.name, argument.help});
    arguments.push_back({{"name", argument.name},
                         {"required", argument.presence == Presence::kRequired},
                         {"help", argument.help}});
  }
  if (!lines.empty()) result.text += section("Arguments", style) + render_lines(lines);
  if (!command.options.empty()) {
    result.text += section("Options", style) + render_options(command.options);
  }
  result.text += section("Examples", style) + render_examples(command.examples);
  result.text += "\nOptions of every command: see `holdfast help`.\n";
  result.json = {{"name", command.name},
                 {"summary", command.summary},
                 {"usage", usage_of(command)},
                 {"arguments", arguments},
                 {"options", options_json(command.options)},
                 {"examples", examples_json(command.examples)}};
  return result;
}

FoundCommand find_command(const std::vector<std::string>& words) {
  HF_INVARIANT(!words.empty());
  std::vector<std::string> seconds;
  for (const CommandSpec& command : all_commands()) {
    if (command.name == words[0]) return {&command, 1};
    if (!command.name.starts_with(words[0] + " ")) continue;
    seconds.push_back(command.name.substr(words[0].size() + 1));
    if (words.size() > 1 && words[1] == seconds.back()) return {&command, 2};
  }
  if (seconds.empty()) refuse_unknown(words[0]);
  const std::string known = fmt::format("One of: {}.", fmt::join(seconds, ", "));
  if (words.size() == 1) {
    throw Error(ErrorKind::kUsage, fmt::format("'{}' needs a second word", words[0]),
                {.hint = known});
  }
  const auto close = nearest(words[1], seconds);
  throw Error(ErrorKind::kUsage, fmt::format("unknown command '{} {}'", words[0], words[1]),
              {.hint = close ? fmt::format("Did you mean '{} {}'?", words[0], *close) : known});
}

}  // namespace holdfast::cli
