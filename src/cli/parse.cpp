#include "cli/parse.h"

#include <algorithm>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/text.h"

namespace holdfast::cli {
namespace {

[[noreturn]] void refuse(std::string message, std::string hint) {
  throw Error(ErrorKind::kUsage, std::move(message), {.hint = std::move(hint)});
}

// CLI11 matches the names and collects the values; they are set later, in the order of declaration.
void declare(CLI::App& app, const Option& option) {
  if (option.value.empty()) {
    app.add_flag(option.names);
    return;
  }
  app.add_option(option.names)
      ->type_name(option.value)
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

std::string last_name(const std::string& names) {
  return names.substr(names.rfind(',') + 1);
}

void deliver(const CLI::App& app, const Option& option) {
  const CLI::Option* given = app.get_option(last_name(option.names));
  const std::size_t count = option.value.empty() ? given->count() : given->results().size();
  if (count > 1 && option.repeat == Repeat::kOnce && !option.value.empty()) {
    refuse(fmt::format("{} is given twice", option.names), "");
  }
  for (std::size_t i = 0; i < count; ++i) {
    option.set(option.value.empty() ? std::string{} : given->results()[i]);
  }
}

std::vector<std::string> names_of(const std::vector<const Option*>& options) {
  std::vector<std::string> names;
  for (const Option* option : options) {
    std::string_view left = option->names;
    for (std::size_t comma = 0; comma != std::string_view::npos;) {
      comma = left.find(',');
      names.emplace_back(left.substr(0, comma));
      left.remove_prefix(comma == std::string_view::npos ? left.size() : comma + 1);
    }
  }
  return names;
}

bool is_one_of(const std::string& word, const std::vector<std::string>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool is_named(const Option& option, const std::string& word) {
  return is_one_of(word, names_of({&option}));
}

void run_parser(CLI::App& app, const Words& words) {
  std::vector<std::string> reversed(words.rbegin(), words.rend());  // as CLI11 wants them
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::ParseError& error) {
    refuse(error.what(), "");
  }
}

// CLI11 says this in terms of argument counts; here it is said of the option.
void check_values_present(const Words& words, const std::vector<const Option*>& options) {
  const std::vector<std::string> known = names_of(options);
  for (std::size_t i = 0; i < words.size() && words[i] != "--"; ++i) {
    for (const Option* option : options) {
      if (option->value.empty() || !is_named(*option, words[i])) continue;
      if (i + 1 == words.size() || is_one_of(words[i + 1], known)) {
        refuse(fmt::format("{} needs a value ({})", words[i], option->value), "");
      }
      ++i;
      break;
    }
  }
}

[[noreturn]] void refuse_unknown(const std::string& word, const std::vector<const Option*>& options,
                                 const std::string& command) {
  const std::string help = command.empty() ? "holdfast help" : "holdfast help " + command;
  if (!word.starts_with('-')) {
    refuse(fmt::format("'{}' is one argument too many", word), fmt::format("See `{}`.", help));
  }
  const std::string name = word.substr(0, word.find('='));
  const auto close = nearest(name, names_of(options));
  refuse(fmt::format("unknown option {}", name),
         close ? fmt::format("Did you mean {}?", *close) : fmt::format("See `{}`.", help));
}

std::vector<const Option*> pointers(const std::vector<Option>& options) {
  std::vector<const Option*> out;
  for (const Option& option : options) out.push_back(&option);
  return out;
}

void declare_arguments(CLI::App& app, const CommandSpec& command) {
  for (const Argument& argument : command.arguments) {
    CLI::Option* declared = app.add_option(argument.name);
    if (argument.repeat == Repeat::kMany) {
      declared->expected(-1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    } else {
      declared->expected(1);
    }
  }
}

void deliver_arguments(const CLI::App& app, const CommandSpec& command) {
  for (const Argument& argument : command.arguments) {
    const auto& values = app.get_option(argument.name)->results();
    if (values.empty() && argument.presence == Presence::kRequired) {
      refuse(fmt::format("{} needs {}", command.name, argument.name),
             fmt::format("See `holdfast help {}`.", command.name));
    }
    for (const std::string& value : values) argument.set(value);
  }
}

void prepare(CLI::App& app, const std::vector<const Option*>& options) {
  app.set_help_flag("");
  for (const Option* option : options) declare(app, *option);
}

}  // namespace

Words parse_front(GlobalOptions& globals, const Words& words) {
  const std::vector<Option> own = global_options(globals);
  const std::vector<const Option*> options = pointers(own);
  // CLI11 would take what follows the command for this parser's options too; so only the front is
  // handed over: options, and the words that are values of the option before them.
  std::size_t end = 0;
  while (end < words.size() && words[end].starts_with('-') && words[end] != "-") {
    const bool takes_next = std::any_of(own.begin(), own.end(), [&](const Option& option) {
      return !option.value.empty() && is_named(option, words[end]);
    });
    end += takes_next ? 2 : 1;
  }
  end = std::min(end, words.size());
  const Words front(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(end));
  CLI::App app;
  prepare(app, options);
  app.allow_extras();
  check_values_present(front, options);
  run_parser(app, front);
  if (const auto left = app.remaining(); !left.empty()) refuse_unknown(left.front(), options, "");
  for (const Option* option : options) deliver(app, *option);
  return {words.begin() + static_cast<std::ptrdiff_t>(end), words.end()};
}

void parse_rest(GlobalOptions& globals, const CommandSpec& command, const Words& words) {
  const std::vector<Option> own = global_options(globals);
  std::vector<const Option*> options = pointers(command.options);
  for (const Option& option : own) options.push_back(&option);
  CLI::App app;
  prepare(app, options);
  declare_arguments(app, command);
  app.allow_extras();
  check_values_present(words, options);
  run_parser(app, words);
  if (const auto left = app.remaining(); !left.empty()) {
    refuse_unknown(left.front(), options, command.name);
  }
  for (const Option* option : options) deliver(app, *option);
  if (!globals.help) deliver_arguments(app, command);
}

OutputFormat peek_output_format(const Words& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--output=json") return OutputFormat::kJson;
    if (words[i] == "--output" && i + 1 < words.size() && words[i + 1] == "json") {
      return OutputFormat::kJson;
    }
  }
  return OutputFormat::kText;
}

}  // namespace holdfast::cli
