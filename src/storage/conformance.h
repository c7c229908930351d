#pragma once
// What Holdfast needs of an object store, as checks that run against a real one. It is the test
// suite of every backend and the user's `check --repo-only`: a provider is supported when it
// passes.
//
// Writes only below scratch_prefix, a few thousand small objects and one large one, and removes
// them again; what could not be removed is said by the last check. The prefix must be new for each
// run, because names are never reused. Checks never throw for what the store does wrong: that is
// their answer. kCancelled is thrown, and then the scratch objects stay.

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "core/time.h"
#include "storage/object_store.h"

namespace holdfast {

enum class CheckOutcome {
  kOk,
  kFailed,
  kUnsupported,  // missing, but Holdfast can do without, and `detail` says what then differs
};

struct ConformanceCheck {
  std::string name;
  CheckOutcome outcome = CheckOutcome::kOk;
  std::string detail = {};  // for kOk a number worth knowing, or empty
  Seconds time{};
};

struct ConformanceOptions {
  std::string scratch_prefix;         // ends in '/'
  std::size_t listed_objects = 1100;  // more than one page of any store
  std::size_t large_object_bytes = std::size_t{33} << 20U;
  std::size_t parallel = 16;
};

std::vector<ConformanceCheck> run_conformance(ObjectStore& store, const ConformanceOptions& options,
                                              const std::stop_token& stop);

// Whether no check failed.
bool conforms(const std::vector<ConformanceCheck>& checks);

}  // namespace holdfast
