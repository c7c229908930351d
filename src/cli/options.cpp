#include "cli/options.h"

#include <charconv>

#include <fmt/format.h>

#include "core/error.h"
#include "core/text.h"

namespace holdfast::cli {
namespace {

constexpr std::uint64_t kJobsMax = 256;
constexpr std::uint64_t kMemoryBytesMin = std::uint64_t{64} << 20U;

std::uint64_t number_or_refuse(const std::string& names, const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) {
    refuse_value(names, text, "a whole number");
  }
  return number;
}

std::uint64_t bytes_or_refuse(const std::string& names, const std::string& text) {
  const auto bytes = parse_bytes(text);
  if (!bytes) refuse_value(names, text, "a size such as 64MiB, or a number of bytes");
  return *bytes;
}

}  // namespace

void refuse_value(const std::string& names, const std::string& text, const std::string& expected) {
  throw Error(ErrorKind::kUsage, fmt::format("{} takes {}, not '{}'", names, expected, text));
}

std::string join_words(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, "|"));
}

Option switch_option(Flag shape, bool& into) {
  return {shape.names, "", shape.help, [&into](const std::string&) { into = true; }};
}

Option text_option(Valued shape, std::string& into) {
  return {shape.names, shape.value, shape.help, [&into](const std::string& text) { into = text; }};
}

Option text_option(Valued shape, std::optional<std::string>& into) {
  return {shape.names, shape.value, shape.help, [&into](const std::string& text) { into = text; }};
}

Option list_option(Valued shape, std::vector<std::string>& into) {
  return {shape.names, shape.value, shape.help,
          [&into](const std::string& text) { into.push_back(text); }, Repeat::kMany};
}

Option number_option(Valued shape, std::uint64_t& into) {
  return {shape.names, shape.value, shape.help,
          [&into, names = shape.names](const std::string& text) {
            into = number_or_refuse(names, text);
          }};
}

Option bytes_option(Valued shape, std::optional<std::uint64_t>& into) {
  return {shape.names, shape.value, shape.help,
          [&into, names = shape.names](const std::string& text) {
            into = bytes_or_refuse(names, text);
          }};
}

Argument text_argument(std::string name, std::string help, std::string& into, Presence presence) {
  return {std::move(name), std::move(help), presence,
          [&into](const std::string& text) { into = text; }};
}

void add_pipeline_options(std::vector<Option>& options, PipelineOptions& into) {
  options.push_back(
      {"--jobs", "N", "Parallel workers; 0 means every core", [&into](const std::string& text) {
         into.jobs = number_or_refuse("--jobs", text);
         if (*into.jobs > kJobsMax) {
           refuse_value("--jobs", text, fmt::format("0 to {}", kJobsMax));
         }
       }});
  options.push_back(bytes_option(
      {"--rate", "BYTES", "At most so many bytes per second; 0 means no limit"}, into.rate));
  options.push_back(
      {"--memory", "BYTES", "Budget for data in flight", [&into](const std::string& text) {
         into.memory = bytes_or_refuse("--memory", text);
         if (*into.memory < kMemoryBytesMin) {
           refuse_value("--memory", text, "at least 64MiB");
         }
       }});
}

void apply(const PipelineOptions& options, Config& config) {
  if (options.jobs) config.backup.jobs = static_cast<unsigned>(*options.jobs);
  if (options.rate) config.backup.rate = *options.rate;
  if (options.memory) config.memory_bytes = *options.memory;
}

std::vector<Option> global_options(GlobalOptions& into) {
  std::vector<Option> options;
  options.push_back(text_option({"--config", "FILE", "Configuration file"}, into.config));
  options.push_back(
      text_option({"--cluster", "NAME", "Cluster, where /etc/holdfast has several"}, into.cluster));
  options.push_back(
      text_option({"--repo", "NAME", "Repository; default: the first one"}, into.repo));
  options.push_back(choice_option<OutputFormat>(
      {"--output", "Text for people, or one JSON document on stdout"},
      {{"text", OutputFormat::kText}, {"json", OutputFormat::kJson}}, into.output));
  options.push_back(switch_option({"-q,--quiet", "No progress; log errors only"}, into.quiet));
  options.push_back({"-v,--verbose", "", "Log what is being done; twice: in detail",
                     [&into](const std::string&) { ++into.verbose; }, Repeat::kMany});
  options.push_back(choice_option<LogLevel>({"--log-level", "What is logged to stderr"},
                                            {{"debug", LogLevel::kDebug},
                                             {"info", LogLevel::kInfo},
                                             {"warning", LogLevel::kWarning},
                                             {"error", LogLevel::kError},
                                             {"off", LogLevel::kOff}},
                                            into.log_level));
  options.push_back(choice_option<LogFormat>(
      {"--log-format", "Form of the log lines"},
      {{"text", LogFormat::kText}, {"json", LogFormat::kJson}}, into.log_format));
  options.push_back(switch_option({"--no-progress", "No progress display"}, into.no_progress));
  options.push_back(switch_option({"-h,--help", "Help on the program or the command"}, into.help));
  options.push_back(switch_option({"--version", "The program's version"}, into.version));
  return options;
}

}  // namespace holdfast::cli
