// The text form of a FaultPlan (storage/fault_store.h).

#include <algorithm>
#include <charconv>

#include "core/error.h"
#include "storage/fault_store.h"

namespace holdfast {
namespace {

[[noreturn]] void throw_bad_rule(std::string_view rule, std::string_view why) {
  throw Error(ErrorKind::kUsage,
              fmt::format("\"{}\" is not a fault rule of HOLDFAST_STORE_FAULTS: {}", rule, why),
              {.object = "HOLDFAST_STORE_FAULTS",
               .hint = "A rule is OPERATION[#FIRST[xTIMES]|%PERCENT][@NAME_PART]=EFFECT."});
}

std::uint64_t number_in(std::string_view rule, std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw_bad_rule(rule, fmt::format("\"{}\" is not a number", text));
  }
  return number;
}

// Cuts what stands behind the first `mark` off `text`; nothing if there is none.
std::optional<std::string_view> cut_behind(std::string_view& text, char mark) {
  const std::size_t at = text.find(mark);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view behind = text.substr(at + 1);
  text = text.substr(0, at);
  return behind;
}

void read_effect(std::string_view whole, std::string_view text, FaultRule& rule) {
  static constexpr std::array<std::pair<std::string_view, FaultEffect>, 7> kEffects{{
      {"fail", FaultEffect::kFail},
      {"lost", FaultEffect::kLost},
      {"deny", FaultEffect::kDeny},
      {"full", FaultEffect::kDiskFull},
      {"delay", FaultEffect::kDelay},
      {"truncate", FaultEffect::kTruncate},
      {"flip", FaultEffect::kFlip},
  }};
  const auto ms = cut_behind(text, ':');
  const auto found = std::ranges::find(kEffects, text, [](const auto& pair) { return pair.first; });
  if (found == kEffects.end()) throw_bad_rule(whole, fmt::format("unknown effect \"{}\"", text));
  rule.effect = found->second;
  if (ms.has_value() != (rule.effect == FaultEffect::kDelay)) {
    throw_bad_rule(whole, "delay, and only it, takes milliseconds behind ':'");
  }
  if (ms) rule.delay = std::chrono::milliseconds(number_in(whole, *ms));
}

FaultRule parse_rule(std::string_view whole) {
  FaultRule rule;
  std::string_view text = whole;
  const auto effect = cut_behind(text, '=');
  if (!effect) throw_bad_rule(whole, "it has no '='");
  read_effect(whole, *effect, rule);
  rule.name_part = cut_behind(text, '@').value_or("");
  if (const auto percent = cut_behind(text, '%')) {
    rule.probability = static_cast<double>(number_in(whole, *percent)) / 100;
  }
  if (auto first = cut_behind(text, '#')) {
    const auto times = cut_behind(*first, 'x');
    rule.first = number_in(whole, *first);
    if (times) rule.times = number_in(whole, *times);
  }
  if (text != "any") {
    const auto found = std::ranges::find(kStoreOperationNames, text);
    if (found == kStoreOperationNames.end()) {
      throw_bad_rule(whole, fmt::format("unknown operation \"{}\"", text));
    }
    rule.operation = static_cast<StoreOperation>(found - kStoreOperationNames.begin());
  }
  return rule;
}

}  // namespace

FaultPlan parse_fault_plan(std::string_view text) {
  FaultPlan plan;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    text = comma == std::string_view::npos ? "" : text.substr(comma + 1);
    if (part.starts_with("seed=")) {
      plan.seed = number_in(part, part.substr(5));
    } else {
      plan.rules.push_back(parse_rule(part));
    }
  }
  return plan;
}

}  // namespace holdfast
