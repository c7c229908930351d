#include "postgres/connection_string.h"

#include <cstdlib>
#include <memory>

#include "postgres/libpq.h"

namespace holdfast {
namespace {

struct FreeSettings {
  void operator()(PQconninfoOption* options) const { libpq().conninfoFree(options); }
};
using ConnectionSettings = std::unique_ptr<PQconninfoOption, FreeSettings>;

std::string setting_in(const ConnectionSettings& options, std::string_view keyword) {
  for (const PQconninfoOption* option = options.get();
       option != nullptr && option->keyword != nullptr; ++option) {
    if (option->keyword == keyword && option->val != nullptr) return option->val;
  }
  return {};
}

ConnectionSettings parsed(const std::string& connection) {
  return ConnectionSettings(libpq().conninfoParse(connection.c_str(), nullptr));
}

std::string resolved(const std::string& connection, std::string_view keyword) {
  const std::string given = setting_in(parsed(connection), keyword);
  return given.empty() ? setting_in(ConnectionSettings(libpq().conndefaults()), keyword) : given;
}

}  // namespace

std::string user_of_connection(const std::string& connection) {
  return resolved(connection, "user");
}

std::string database_of_connection(const std::string& connection) {
  const std::string database = resolved(connection, "dbname");
  return database.empty() ? user_of_connection(connection) : database;
}

std::string connection_to_database(const std::string& connection, const std::string& database) {
  const ConnectionSettings settings = parsed(connection);
  if (!settings) return connection;  // Connection says what is wrong with it
  std::string out = "dbname=" + quoted_connection_value(database);
  for (const PQconninfoOption* option = settings.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr || std::string_view(option->keyword) == "dbname") continue;
    out += std::string(" ") + option->keyword + "=" + quoted_connection_value(option->val);
  }
  return out;
}

std::string port_of_connection(const std::string& connection) {
  return resolved(connection, "port");
}

std::string connection_to_server(const std::string& connection, const ServerAddress& server) {
  const ConnectionSettings settings = parsed(connection);
  std::string out =
      "host=" + quoted_connection_value(server.host) + " port=" + std::to_string(server.port);
  for (const PQconninfoOption* option = settings.get();
       option != nullptr && option->keyword != nullptr; ++option) {
    const std::string_view keyword = option->keyword;
    if (option->val == nullptr || keyword == "host" || keyword == "hostaddr" || keyword == "port") {
      continue;
    }
    out += std::string(" ") + option->keyword + "=" + quoted_connection_value(option->val);
  }
  return out;
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
