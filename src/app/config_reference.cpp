// The reference table of docs/configuration.md.
#include <fmt/format.h>

#include "app/config_keys.h"

namespace holdfast {
namespace {

// '|' ends a cell of a Markdown table.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::string config_reference_markdown() {
  std::string out = "| key | value | default | meaning |\n|---|---|---|---|\n";
  for (const ConfigKey& key : config_keys()) {
    if (key.state == KeyState::kLater) continue;
    const std::string fallback = key.fallback.empty() ? "" : fmt::format("`{}`", key.fallback);
    out += fmt::format("| `{}` | {} | {} | {} |\n", key.path, cell(describe_type(key)), fallback,
                       cell(key.help));
  }
  std::string later;
  for (const ConfigKey& key : config_keys()) {
    if (key.state == KeyState::kLater) later += fmt::format("- `{}`: {}\n", key.path, key.help);
  }
  if (!later.empty()) {
    out += "\nRefused in this build, because nothing acts on them yet:\n\n" + later;
  }
  return out;
}

}  // namespace holdfast
