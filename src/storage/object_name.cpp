#include "storage/object_name.h"

#include <algorithm>
#include <string>

#include "core/error.h"
#include "system/durable_write.h"

namespace holdfast {

bool is_name_component(std::string_view component) {
  return !component.empty() && component.size() <= kMaxNameComponentBytes &&
         component.front() != '.' && !is_temporary_name(component) &&
         std::ranges::all_of(component, [](char c) { return c >= ' ' && c <= '~' && c != '/'; });
}

bool is_object_name(std::string_view name) {
  if (name.size() > kMaxObjectNameBytes) return false;
  for (;;) {
    const std::size_t slash = name.find('/');
    if (!is_name_component(name.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    name.remove_prefix(slash + 1);
  }
}

void require_object_name(std::string_view name) {
  if (is_object_name(name)) return;
  throw Error(ErrorKind::kBug, fmt::format("\"{}\" is not a legal object name", name),
              {.object = std::string(name)});
}

}  // namespace holdfast
