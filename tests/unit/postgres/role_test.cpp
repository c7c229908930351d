#include "postgres/role.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(RoleSql, NamesTheFunctionsOfTheVersion) {
  EXPECT_THAT(role_sql("holdfast", 150020), HasSubstr("pg_backup_start(text, boolean)"));
  EXPECT_THAT(role_sql("holdfast", 150020), Not(HasSubstr("pg_start_backup")));
  EXPECT_THAT(role_sql("holdfast", 140010), HasSubstr("pg_start_backup(text, boolean, boolean)"));
  EXPECT_THAT(role_sql("holdfast", 140010), Not(HasSubstr("pg_backup_start")));
}

TEST(RoleSql, MakesNoSuperuser) {
  EXPECT_THAT(role_sql("holdfast", 150020), Not(HasSubstr("superuser")));
}

// What the server makes of such a name is tested in the suite postgres_server.
TEST(RoleSql, QuotesTheName) {
  EXPECT_THAT(role_sql("a\"b'c", 150020), HasSubstr("alter role \"a\"\"b'c\" with"));
}

}  // namespace
}  // namespace holdfast
