#pragma once
// `check`: proves that the set-up works, or says what is wrong with it.
//
// Every part is looked at, whatever was wrong before it: a finding that failed is an answer, not an
// exception. Thrown is kCancelled only. What is written: the state directory, as `backup` makes it,
// and a few small objects below scratch_prefix(), which are removed again.
// Threads: any.

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "app/config.h"
#include "storage/conformance.h"
#include "storage/object_store.h"

namespace holdfast {

enum class FindingLevel { kOk, kWarning, kFailed };

struct CheckFinding {
  std::string name;  // of what was looked at: "connection", "clock"
  FindingLevel level = FindingLevel::kOk;
  std::string detail, hint = {};
  std::string repository = {};  // of the configuration, that it is about; empty: of none
};

struct CheckOptions {
  // Tests put their own store around the real one here.
  std::function<std::unique_ptr<ObjectStore>(std::unique_ptr<ObjectStore>)> wrap_store = {};
};

// Looks at every repository of the configuration, or at the one called `only`.
std::vector<CheckFinding> check_setup(const LoadedConfig& loaded, const std::string& only,
                                      const CheckOptions& options, const std::stop_token& stop);

// How many findings are of this level.
std::size_t count_of(const std::vector<CheckFinding>& findings, FindingLevel level);

// `check --repo-only`: the conformance suite (storage/conformance.h) on the repository's place, for
// which no repository need exist yet; a folder is made. Throws what opening the place throws.
std::vector<ConformanceCheck> check_store(const RepositoryConfig& repository,
                                          const std::stop_token& stop);

}  // namespace holdfast
