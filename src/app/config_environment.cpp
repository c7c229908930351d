// Overrides of configuration keys by HOLDFAST_ variables.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "app/config_document.h"
#include "core/error.h"
#include "core/text.h"

extern char** environ;

namespace holdfast {
namespace {

constexpr std::string_view kPrefix = "HOLDFAST_";

struct Addressed {
  const ConfigKey* key;
  std::optional<std::size_t> repository;
};
using Variables = std::map<std::string, Addressed, std::less<>>;

void add(Variables& variables, const std::string& name, Addressed addressed) {
  if (variables.emplace(name, addressed).second) return;
  throw Error(ErrorKind::kConfiguration,
              fmt::format("the names of two repositories give the same variable {}", name),
              {.object = "repositories", .hint = "Rename one of them."});
}

Variables variables_of(const std::vector<std::string>& repositories) {
  Variables variables;
  for (const ConfigKey& key : config_keys()) {
    // Their names, if they have any, are no part of a variable's.
    if (is_check_key(key) || is_notify_key(key)) continue;
    if (!is_repository_key(key)) {
      add(variables, environment_name(key, {}), {&key, std::nullopt});
      continue;
    }
    if (path_in_entry(key.path) == "name") continue;  // it is the address
    for (std::size_t i = 0; i < repositories.size(); ++i) {
      add(variables, environment_name(key, repositories[i]), {&key, i});
    }
  }
  return variables;
}

bool is_no_key(std::string_view name) {
  return name == "HOLDFAST_CONFIG" || name.starts_with("HOLDFAST_FAULT_") ||
         name.starts_with("HOLDFAST_TEST_") || name.starts_with("HOLDFAST_STORE_");
}

[[noreturn]] void refuse_unknown(const Variables& variables, const std::string& name) {
  // A variable below a section of a later release, such as HOLDFAST_WAL_JOBS.
  for (const auto& [known, addressed] : variables) {
    if (addressed.key->type == KeyType::kSection && name.starts_with(known + "_")) {
      refuse_later_key(addressed.key->path, name);
    }
  }
  std::vector<std::string> names;
  for (const auto& [known, addressed] : variables) {
    if (addressed.key->state == KeyState::kReady) names.push_back(known);
  }
  const auto close = nearest(name, names);
  throw Error(
      ErrorKind::kConfiguration,
      fmt::format("the environment variable {} matches no configuration key", name),
      {.object = name,
       .hint = close ? fmt::format("Did you mean {}?", *close)
                     : "Unset it, or see docs/configuration.md for the rule of the names."});
}

}  // namespace

Environment holdfast_environment() {
  Environment environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (!text.starts_with(kPrefix) || equals == std::string_view::npos) continue;
    environment.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

void apply_environment(ConfigDocument& document, const std::vector<std::string>& names,
                       const Environment& environment) {
  const Variables variables = variables_of(names);
  for (const auto& [name, value] : environment) {
    if (!name.starts_with(kPrefix) || is_no_key(name)) continue;
    const auto found = variables.find(name);
    if (found == variables.end()) refuse_unknown(variables, name);
    const auto [key, repository] = found->second;
    if (key->state == KeyState::kLater) refuse_later_key(key->path, name);
    std::erase_if(document.assignments,
                  [&](const Assignment& old) { return old.key == key && old.entry == repository; });
    document.assignments.push_back({key, repository, value, name, "environment " + name});
  }
}

}  // namespace holdfast
