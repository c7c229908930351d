#pragma once
// What one check counts while it goes from database to database, and what it says at the end.
//
// A database that could not be looked into is left out and named. Where others were, the check has
// an answer all the same; where none was, it is skipped.
// Errors: none. Threads: one at a time.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "recover/database_checks.h"

namespace holdfast {

class CheckTally {
 public:
  void looked_at(std::uint64_t relations) { looked_at_ += relations; }
  void found(std::string what);
  void left_out(std::string database, std::string why);

  // `what` was counted, for people: "B-trees".
  CheckResult result(std::string name, std::string_view what) const;

 private:
  std::uint64_t looked_at_ = 0;
  std::uint64_t wrong_ = 0;
  std::vector<std::string> shown_;     // of what is wrong, the first
  std::vector<std::string> left_out_;  // databases
  std::string why_;                    // the last of them was
};

}  // namespace holdfast
