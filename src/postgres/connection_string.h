#pragma once
// libpq connection strings: reading one setting, quoting a value. Threads: any. No errors: a string
// that libpq cannot parse has no settings; Connection says so when it is used.

#include <string>
#include <string_view>

namespace holdfast {

// As libpq resolves it: from the string, else PGUSER, else the name of the system's user.
std::string user_of_connection(const std::string& connection);

// As libpq resolves it: from the string, else PGDATABASE, else the user's name.
std::string database_of_connection(const std::string& connection);

// As libpq resolves it: from the string, else PGPORT; empty: its default.
std::string port_of_connection(const std::string& connection);

// The same user, database and settings, but another server: its host, or the folder of its socket.
// It holds the password where the string did, so it is never shown.
struct ServerAddress {
  std::string host;
  int port = 0;
};
std::string connection_to_server(const std::string& connection, const ServerAddress& server);

// The same server and settings, but this database, as key=value. It holds the password where the
// string did, so it is never shown.
std::string connection_to_database(const std::string& connection, const std::string& database);

// "it's" → "'it\'s'"
std::string quoted_connection_value(std::string_view value);

}  // namespace holdfast
