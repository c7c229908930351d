#pragma once
// Command-line options as data: what parsing (parse.h), help and tests need to know about one.
// The functions below make an option that stores into a variable of the caller, which must outlive
// the parsing (see command.h for the usual way). A value that does not fit is Error(kUsage) and
// names the option.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/config.h"
#include "core/log.h"

namespace holdfast::cli {

enum class Repeat { kOnce, kMany };

struct Option {
  std::string names;  // "--type" or "-n,--name"
  std::string value;  // what stands for the value in the help, "KIND"; empty: a switch
  std::string help;
  std::function<void(const std::string&)> set;  // called with "" for a switch
  Repeat repeat = Repeat::kOnce;
};

enum class Presence { kOptional, kRequired };

// An argument without a name, such as the ID of `show ID`.
struct Argument {
  std::string name;
  std::string help;
  Presence presence = Presence::kRequired;
  std::function<void(const std::string&)> set;
  Repeat repeat = Repeat::kOnce;  // kMany: takes all that are left; the last argument only
};

// What an option looks like: `names`, and `value` for those that take one.
struct Flag {
  std::string names, help;
};
struct Valued {
  std::string names, value, help;
};

Option switch_option(Flag shape, bool& into);
Option text_option(Valued shape, std::string& into);
Option text_option(Valued shape, std::optional<std::string>& into);
Option list_option(Valued shape, std::vector<std::string>& into);  // may be given several times
Option number_option(Valued shape, std::uint64_t& into);
Option bytes_option(Valued shape, std::optional<std::uint64_t>& into);  // 64MiB or bytes
Argument text_argument(std::string name, std::string help, std::string& into,
                       Presence presence = Presence::kRequired);

// One of a fixed set of words: choice_option({"--type", "", "…"}, {{"full", Type::kFull}, …},
// type). The value in the help is made from the words.
template <class Value>
struct Choice {
  std::string word;
  Value value;
};
[[noreturn]] void refuse_value(const std::string& names, const std::string& text,
                               const std::string& expected);
std::string join_words(const std::vector<std::string>& words);  // "full|incr"

template <class Value, class Target>
Option choice_option(const Flag& shape, const std::vector<Choice<Value>>& choices, Target& into) {
  std::vector<std::string> words;
  words.reserve(choices.size());
  for (const auto& choice : choices) words.push_back(choice.word);
  const std::string value = join_words(words);
  auto set = [names = shape.names, value, choices, &into](const std::string& text) {
    for (const auto& choice : choices) {
      if (choice.word == text) {
        into = choice.value;
        return;
      }
    }
    refuse_value(names, text, value);
  };
  return {shape.names, value, shape.help, std::move(set)};
}

// --jobs, --rate and --memory of the commands that move data; each overrides the configuration.
struct PipelineOptions {
  std::optional<std::uint64_t> jobs, rate, memory;
};
void add_pipeline_options(std::vector<Option>& options, PipelineOptions& into);
// Sets backup.jobs, backup.rate and memory_bytes where the command line names them.
void apply(const PipelineOptions& options, Config& config);

enum class OutputFormat { kText, kJson };

// Options that every command takes, before or after its name.
struct GlobalOptions {
  std::string config, cluster, repo;
  OutputFormat output = OutputFormat::kText;
  bool quiet = false;
  unsigned verbose = 0;  // how often -v was given
  std::optional<LogLevel> log_level;
  LogFormat log_format = LogFormat::kText;
  bool no_progress = false;
  bool help = false;
  bool version = false;
};
std::vector<Option> global_options(GlobalOptions& into);

}  // namespace holdfast::cli
