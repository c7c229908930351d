// Every fuzz target over its seeds and seeded mutations of them: a short run of the fuzzers with
// any compiler, most telling in the sanitizer builds. HOLDFAST_TEST_SEED repeats a run,
// HOLDFAST_FUZZ_ROUNDS lengthens it.

#include <array>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

#include "core/error.h"
#include "fuzz_target.h"

namespace holdfast::fuzz {
namespace {

constexpr std::size_t kMaxInputBytes = 64 << 10U;
constexpr std::uint64_t kRounds = 5'000;

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

class Mutator {
 public:
  Mutator(std::uint64_t seed, std::vector<Bytes> corpus)
      : engine_(seed), corpus_(std::move(corpus)) {}

  Bytes next() {
    Bytes input = corpus_[below(corpus_.size())];
    for (std::size_t edits = 1 + below(6); edits > 0; --edits) edit(input);
    if (input.size() > kMaxInputBytes) input.resize(kMaxInputBytes);
    return input;
  }

 private:
  std::size_t below(std::size_t end) {
    return std::uniform_int_distribution<std::size_t>(0, end - 1)(engine_);
  }
  std::ptrdiff_t place(const Bytes& in) {
    return static_cast<std::ptrdiff_t>(below(in.size() + 1));
  }

  void edit(Bytes& input) {
    if (input.empty()) input.push_back(std::byte{0});
    switch (below(7)) {
      case 0:
        input[below(input.size())] ^= static_cast<std::byte>(1U << below(8));
        break;
      case 1:
        input[below(input.size())] = static_cast<std::byte>(below(256));
        break;
      case 2:
        input.resize(below(input.size() + 1));
        break;
      case 3:
        input.insert(input.begin() + place(input), 1 + below(8),
                     static_cast<std::byte>(below(256)));
        break;
      case 4:
        erase_some(input);
        break;
      case 5:
        store_number(input);
        break;
      default:
        splice(input);
    }
  }

  void erase_some(Bytes& input) {
    const auto from = input.begin() + place(input);
    const auto most = static_cast<std::size_t>(input.end() - from);
    input.erase(from,
                from + static_cast<std::ptrdiff_t>(below(std::min<std::size_t>(most, 16) + 1)));
  }

  // Lengths and counts that parsers stumble over.
  void store_number(Bytes& input) {
    static constexpr std::array<std::uint32_t, 10> kNumbers{
        0, 1, 0x7f, 0x80, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
    if (input.size() < 4) return;
    store_le(input.data() + below(input.size() - 3), kNumbers[below(kNumbers.size())]);
  }

  void splice(Bytes& input) {
    const Bytes& other = corpus_[below(corpus_.size())];
    const auto from = other.begin() + place(other);
    input.resize(below(input.size() + 1));
    input.insert(input.end(), from, other.end());
  }

  std::mt19937_64 engine_;
  std::vector<Bytes> corpus_;
};

void expect_no_finding(const Target& target, ByteView input) {
  try {
    run_one(target, input);
  } catch (const std::exception& finding) {
    FAIL() << finding.what() << " with the input " << to_hex(input);
  }
}

class Fuzz : public testing::TestWithParam<Target> {};

INSTANTIATE_TEST_SUITE_P(Targets, Fuzz, testing::ValuesIn(targets().begin(), targets().end()),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST_P(Fuzz, HasSeeds) {
  EXPECT_FALSE(GetParam().seeds().empty());
}

TEST_P(Fuzz, SeedsAndMutationsGiveNoFinding) {
  const std::uint64_t seed = number_from("HOLDFAST_TEST_SEED", std::random_device{}());
  const std::uint64_t rounds = number_from("HOLDFAST_FUZZ_ROUNDS", kRounds);
  std::printf("HOLDFAST_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);  // before a sanitizer ends the program
  const std::vector<Bytes> seeds = GetParam().seeds();
  expect_no_finding(GetParam(), {});
  for (const Bytes& input : seeds) expect_no_finding(GetParam(), input);
  Mutator mutator(seed, seeds);
  for (std::uint64_t i = 0; i < rounds && !HasFatalFailure(); ++i) {
    expect_no_finding(GetParam(), mutator.next());
  }
}

// The suite itself must be able to fail.
TEST(FuzzHarness, BugsAndForeignExceptionsAreFindings) {
  const Target bug{.name = "bug", .run = [](ByteView) { HF_INVARIANT(false); }, .seeds = nullptr};
  EXPECT_THROW(run_one(bug, {}), Error);
  const Target foreign{
      .name = "foreign", .run = [](ByteView) { throw std::out_of_range("x"); }, .seeds = nullptr};
  EXPECT_THROW(run_one(foreign, {}), std::out_of_range);
  const Target damage{.name = "damage",
                      .run = [](ByteView) { throw Error(ErrorKind::kDamage, "x"); },
                      .seeds = nullptr};
  EXPECT_NO_THROW(run_one(damage, {}));
}

}  // namespace
}  // namespace holdfast::fuzz
