#pragma once
// Decorator for tests: makes a store fail, answer late, lose answers or return damaged bytes, by
// script or by seeded chance. It sits inside the retry decorator, so injected faults are met with
// exactly what real ones are.
//
// The program takes a plan from HOLDFAST_STORE_FAULTS (parse_fault_plan), so that the end-to-end
// tests run what is shipped. Without the variable the decorator is not there at all.
// Thread-safe; with several threads the seed still decides the faults, but not which of the racing
// requests meets them.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/object_store.h"
#include "storage/store_operation.h"

namespace holdfast {

enum class FaultEffect {
  kFail,      // retryable error; nothing happened
  kLost,      // it happened, but the answer is a retryable error
  kDeny,      // error that no retry mends; nothing happened
  kDiskFull,  // the same, as a full disk says it
  kDelay,     // it happens later
  kTruncate,  // a get returns half of the object; a ranged get says that the object ends too early
  kFlip,      // a get or ranged get returns one flipped bit
};

struct FaultCall {
  StoreOperation operation;
  std::string_view name;  // object, or prefix of a list
  std::uint64_t number;   // of this operation, counted from 1
};

// What one rule does to the requests it matches.
struct FaultRule {
  std::optional<StoreOperation> operation = {};  // any, if empty
  std::string name_part = {};                    // only names that contain this
  std::uint64_t first = 0;                       // from the n-th match of this rule on (0: any) …
  std::uint64_t times = 1;                       // … for so many matches
  double probability = 1.0;                      // with this chance each; `times` does not limit it
  FaultEffect effect = FaultEffect::kFail;
  std::chrono::milliseconds delay{0};  // with kDelay
};

using FaultScript = std::function<std::optional<FaultEffect>(const FaultCall&)>;

struct FaultPlan {
  std::uint64_t seed = 1;
  std::vector<FaultRule> rules = {};  // the first that fires decides
  FaultScript script = {};            // asked first, if set; may block
};

// Rules divided by ',': OPERATION[#FIRST[xTIMES]|%PERCENT][@NAME_PART]=EFFECT, and "seed=N".
// OPERATION: put, get … or any. EFFECT: fail, lost, deny, full, truncate, flip, delay:MS. Examples:
//   put#3=lost   get%5=fail   any@/pack/=delay:20   get_range#2x4@/map/=flip
// Throws kUsage.
FaultPlan parse_fault_plan(std::string_view text);

std::unique_ptr<ObjectStore> make_fault_store(std::unique_ptr<ObjectStore> inner, FaultPlan plan);

}  // namespace holdfast
