#pragma once
// Fuzz targets: parsers of bytes from outside, fed with anything.
//
// To add one, write targets/NAME.cpp with a function that takes the input, one that makes seeds,
// and the line
//   HOLDFAST_FUZZ_TARGET(NAME, run, seeds)
// The build finds it by itself and makes of it
//   - a case in the test program unit_fuzz: the seeds and some thousand seeded mutations of them,
//     with any compiler;
//   - a target of fuzz_replay, which runs given files (a corpus, a crash) with any compiler;
//   - with clang and -DHOLDFAST_FUZZ=ON, the libFuzzer program fuzz_NAME.
//
// `run` returns, or throws an Error that says that the input is bad. Everything else is a finding:
// a sanitizer's report, any other exception, and Error(kBug), so HF_INVARIANT states properties.
// It must not depend on earlier inputs, on time or on chance.

#include <span>
#include <string_view>
#include <vector>

#include "core/bytes.h"

namespace holdfast::fuzz {

struct Target {
  std::string_view name;
  void (*run)(ByteView input);
  std::vector<Bytes> (*seeds)();  // small inputs that reach deep; made by code, never stored
};

// Every target that is linked into this program.
std::span<const Target> targets();
const Target* find_target(std::string_view name);

// Runs one input; throws only what is a finding.
void run_one(const Target& target, ByteView input);

struct Registration {
  explicit Registration(Target target);
};

}  // namespace holdfast::fuzz

#define HOLDFAST_FUZZ_TARGET(NAME, RUN, SEEDS)              \
  static const ::holdfast::fuzz::Registration registration( \
      ::holdfast::fuzz::Target{.name = #NAME, .run = (RUN), .seeds = (SEEDS)});
