#pragma once
// The SQL of the PostgreSQL role that Holdfast needs and nothing more. It can be run again.

#include <string>

namespace holdfast {

// For a superuser to run, in the database that the role will connect to: EXECUTE on a function is
// granted in one database only. Valid for any role name. `version_num` as ServerInfo has it.
std::string role_sql(const std::string& role, int version_num);

}  // namespace holdfast
