#include "postgres/connection_string.h"

#include <cstdlib>
#include <memory>

#include <libpq-fe.h>

namespace holdfast {
namespace {

struct FreeSettings {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
using ConnectionSettings = std::unique_ptr<PQconninfoOption, FreeSettings>;

std::string user_in(const ConnectionSettings& options) {
  for (const PQconninfoOption* option = options.get();
       option != nullptr && option->keyword != nullptr; ++option) {
    if (std::string_view(option->keyword) == "user" && option->val != nullptr) return option->val;
  }
  return {};
}

}  // namespace

std::string user_of_connection(const std::string& connection) {
  const std::string given =
      user_in(ConnectionSettings(PQconninfoParse(connection.c_str(), nullptr)));
  return given.empty() ? user_in(ConnectionSettings(PQconndefaults())) : given;
}

std::string quoted_connection_value(std::string_view value) {
  std::string quoted = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

}  // namespace holdfast
