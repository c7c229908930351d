#include "postgres/role.h"

#include <array>
#include <string_view>

#include <fmt/format.h>

namespace holdfast {
namespace {

std::string quoted_sql(std::string_view text, char quote) {
  std::string result(1, quote);
  for (const char character : text) {
    if (character == quote) result += quote;
    result += character;
  }
  return result + quote;
}

constexpr int kFunctionsRenamedIn = 150000;
constexpr std::array<std::string_view, 2> kBackupFunctions{"pg_backup_start(text, boolean)",
                                                           "pg_backup_stop(boolean)"};
constexpr std::array<std::string_view, 2> kOlderBackupFunctions{
    "pg_start_backup(text, boolean, boolean)", "pg_stop_backup(boolean, boolean)"};
constexpr std::array<std::string_view, 2> kFunctions{"pg_switch_wal()",
                                                     "pg_create_restore_point(text)"};

}  // namespace

std::string role_sql(const std::string& role, int version_num) {
  const std::string name = quoted_sql(role, '"');
  // The body is a string constant, not a dollar quote, so that no role name can end it.
  const std::string create = fmt::format(
      "begin if not exists (select from pg_catalog.pg_roles where rolname = {}) then"
      " create role {} login; end if; end",
      quoted_sql(role, '\''), name);
  std::string sql = fmt::format("do {};\n", quoted_sql(create, '\''));
  // Replication: for the temporary slot that keeps WAL during a backup.
  sql += fmt::format("alter role {} with login replication;\n", name);
  // Settings such as data_directory, and who holds the backup lock.
  sql += fmt::format("grant pg_monitor to {};\n", name);
  const auto grant = [&](std::string_view function) {
    sql += fmt::format("grant execute on function pg_catalog.{} to {};\n", function, name);
  };
  for (const std::string_view function :
       version_num >= kFunctionsRenamedIn ? kBackupFunctions : kOlderBackupFunctions) {
    grant(function);
  }
  for (const std::string_view function : kFunctions) grant(function);
  return sql;
}

}  // namespace holdfast
