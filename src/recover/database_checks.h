#pragma once
// What is asked of a recovered copy: is every file there, do indexes and tables hold together, are
// the pages what they were when they were written.
//
//   files      every relation that has storage has its first file, in every database
//   indexes    amcheck's bt_index_check of every valid B-tree, each entry of its heap included
//   tables     amcheck's verify_heapam of every table and materialised view (PostgreSQL 14 on)
//   checksums  pg_checksums over the stopped copy
// amcheck is created in the copy where it is missing. A database in which that is impossible (the
// machine has no amcheck, or the copy can only be read) is left out, and named; a check that leaves
// out all of them is skipped, and says so: a drill that could not look has not found nothing.
// Source: PostgreSQL's documentation, "amcheck", "pg_checksums".
// Errors: kPostgres when a session breaks, kCancelled. What a check finds is a result.

#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "system/child_process.h"

namespace holdfast {

struct CheckResult {
  enum class Verdict { kPassed, kFailed, kSkipped };
  // A failure about the backup is damage, and makes later backups and expiry trust it no longer;
  // one about its content (a question of the operator's) or about an objective is not.
  enum class About { kBackup, kContent, kObjective };
  std::string name;
  About about = About::kBackup;
  Verdict verdict = Verdict::kPassed;
  std::string detail;  // how much was looked at; or what was found, the first of it
  double duration_seconds = 0;
};
std::string_view to_string(CheckResult::Verdict verdict);  // "passed"
std::string_view to_string(CheckResult::About about);      // "backup", "content", "objective"

struct CheckedServer {
  std::function<std::string(const std::string& database)> connection;
  int major_version = 0;
};
// The checks that ask the running server, one after the other.
std::vector<CheckResult> check_databases(const CheckedServer& server, const std::stop_token& stop);

// Runs pg_checksums over a cleanly stopped copy.
struct ChecksumsCheck {
  std::filesystem::path data_directory;
  std::filesystem::path bin_directory;
  std::filesystem::path log;  // where it says which pages are wrong
};
CheckResult check_page_checksums(const ChecksumsCheck& check, const std::stop_token& stop);

}  // namespace holdfast
