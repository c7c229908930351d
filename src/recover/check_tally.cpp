#include "recover/check_tally.h"

#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace holdfast {
namespace {

using Verdict = CheckResult::Verdict;

constexpr std::size_t kFindingsShown = 5;

}  // namespace

void CheckTally::found(std::string what) {
  ++wrong_;
  if (shown_.size() < kFindingsShown) shown_.push_back(std::move(what));
}

void CheckTally::left_out(std::string database, std::string why) {
  left_out_.push_back(std::move(database));
  why_ = std::move(why);
}

CheckResult CheckTally::result(std::string name, std::string_view what) const {
  CheckResult result{.name = std::move(name)};
  if (wrong_ > 0) {
    result.verdict = Verdict::kFailed;
    result.detail =
        fmt::format("{} of {} {}: {}", wrong_, looked_at_, what, fmt::join(shown_, "; "));
    return result;
  }
  if (looked_at_ == 0 && !left_out_.empty()) {
    result.verdict = Verdict::kSkipped;
    result.detail = why_;
    return result;
  }
  result.detail = fmt::format("{} {}", looked_at_, what);
  if (!left_out_.empty()) {
    result.detail += fmt::format(", without those of {}: {}", fmt::join(left_out_, ", "), why_);
  }
  return result;
}

}  // namespace holdfast
