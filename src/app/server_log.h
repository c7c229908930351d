#pragma once
// What the log of a server that was just started says about how it does: PostgreSQL's own form, or
// csvlog, or jsonlog; with messages in English.
//
// Only what follows the last start counts: lines of an earlier server are none of it. A FATAL ends
// one session. Those that every start and stop brings ("the database system is starting up",
// "terminating connection due to administrator command") are not counted.
// Pure; no errors. Threads: any.

#include <istream>
#include <string>

namespace holdfast {

struct LogFindings {
  std::string panic;       // the last such line; empty: there is none
  int fatal = 0;           // sessions that were refused or ended
  std::string last_fatal;  // the line about the last of them
};
LogFindings read_server_log(std::istream& log);

}  // namespace holdfast
