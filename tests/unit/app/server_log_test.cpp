// What a server's log says of a start: what counts, and what every start brings.
#include "app/server_log.h"

#include <sstream>

#include <gmock/gmock.h>

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

LogFindings read(const std::string& text) {
  std::istringstream log(text);
  return read_server_log(log);
}

constexpr const char* kStarted =
    "2026-11-22 10:00:01.1 UTC [7] LOG:  starting PostgreSQL 15.18 (Debian) on x86_64\n";

TEST(ServerLog, OfACleanStartSaysNothing) {
  const LogFindings found =
      read(std::string(kStarted) +
           "2026-11-22 10:00:01.2 UTC [9] FATAL:  the database system is starting up\n"
           "2026-11-22 10:00:01.3 UTC [9] FATAL:  the database system is not yet accepting "
           "connections\n"
           "2026-11-22 10:00:02 UTC [7] LOG:  database system is ready to accept connections\n");
  EXPECT_THAT(found.panic, IsEmpty());
  EXPECT_EQ(found.fatal, 0) << found.last_fatal;
}

TEST(ServerLog, FindsWhatIsWrongInEachForm) {
  for (const char* line :
       {"2026-11-22 10:00:03 UTC [8] PANIC:  could not write to file \"pg_wal/xlogtemp.8\"",
        "2026-11-22 10:00:03.1 UTC,,,8,,6541,1,,2026-11-22 10:00:01 UTC,,0,PANIC,58030,\"no\"",
        R"({"timestamp":"2026-11-22","pid":8,"error_severity":"PANIC","message":"no"})"}) {
    EXPECT_EQ(read(kStarted + std::string(line) + "\n").panic, line);
  }
  const LogFindings found = read(
      std::string(kStarted) + "[9] FATAL:  the database system is starting up\n" +
      "[10] FATAL:  role \"app\" does not exist\n" +
      "2026-11-22,\"app\",\"app\",11,,1,1,\"\",2026-11-22,,0,FATAL,53300,\"sorry, too many\"\n" +
      "[12] FATAL:  terminating connection due to administrator command\n");
  EXPECT_EQ(found.fatal, 2);
  EXPECT_THAT(found.last_fatal, HasSubstr("sorry, too many"));
  EXPECT_THAT(found.panic, IsEmpty());
}

TEST(ServerLog, OfAnEarlierServerDoesNotCount) {
  const LogFindings found = read("[1] PANIC:  of the old one\n[2] FATAL:  too\n" +
                                 std::string(kStarted) + "[3] LOG:  listening\n");
  EXPECT_THAT(found.panic, IsEmpty());
  EXPECT_EQ(found.fatal, 0);
}

}  // namespace
}  // namespace holdfast
