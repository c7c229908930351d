#pragma once
// A configuration file as a flat list of assignments, checked for its shape: only known keys, each
// once, scalars where scalars belong. Values are not looked at here.
// Errors: kConfiguration with "file:line" as object. The text comes from outside: its size is
// limited by the caller, its depth by the table of keys.

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "app/config_keys.h"

namespace holdfast {

inline constexpr std::size_t kRepositoriesMax = 16;
inline constexpr std::size_t kChecksMax = 1000;
inline constexpr std::size_t kNotifyMax = 32;

struct Assignment {
  const ConfigKey* key;
  std::optional<std::size_t> entry;  // index in its list, for a key of a repository or a check
  std::string text;
  std::string place;   // "/etc/holdfast/a.yaml:7" or the name of an environment variable
  std::string source;  // as ConfigValue::source
};

struct ConfigDocument {
  std::vector<Assignment> assignments;
  std::vector<std::string> repository_places;  // one for each repository of the file
  std::vector<std::string> check_places;       // the same of `checks`
  std::vector<std::string> notify_places;      // and of `notify`
};

ConfigDocument read_config_document(const std::string& text, const std::string& file);

// The value of `cluster:` alone, from a file that may be wrong in every other way; empty if none.
std::string peek_cluster_name(const std::string& text);

// Adds the overrides from HOLDFAST_ variables. `names` are the repositories', in order.
void apply_environment(ConfigDocument& document, const std::vector<std::string>& names,
                       const Environment& environment);

// Throws kConfiguration; `place` is the object: a line of a file, a variable, or a path.
[[noreturn]] void refuse_configuration(std::string message, std::string place,
                                       std::string hint = {});
[[noreturn]] void refuse_later_key(std::string_view path, const std::string& place);

}  // namespace holdfast
