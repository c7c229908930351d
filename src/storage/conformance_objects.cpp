// The checks of storage/conformance.h on single objects.

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/text.h"
#include "storage/conformance_context.h"

namespace holdfast::conformance {
namespace {

constexpr std::chrono::minutes kClockTolerance{5};
constexpr int kConsistencyRounds = 20;

}  // namespace

std::string check_round_trip(Context& context) {
  const std::string name = context.name("object");
  const Bytes content = pattern(100'000, 1);
  const Timestamp before = context.store.now(context.stop);
  context.create(name, content);
  context.expect_content(name, content);
  const auto info = context.store.head(name, context.stop);
  if (!info) fail("head says that {} is absent", name);
  if (info->name != name || info->size != content.size()) {
    fail("head of {} says {} with {} bytes", name, info->name, info->size);
  }
  // Stores tell times in whole seconds.
  if (info->modified < before - std::chrono::minutes(1)) {
    fail("{} was written after {}, but is said to be from {}", name, to_rfc3339(before),
         to_rfc3339(info->modified));
  }
  return "";
}

std::string check_empty_object(Context& context) {
  const std::string name = context.name("empty");
  context.create(name, {});
  context.expect_content(name, {});
  const auto info = context.store.head(name, context.stop);
  if (!info || info->size != 0) fail("head does not show {} as an empty object", name);
  return "";
}

std::string check_large_object(Context& context) {
  const std::string name = context.name("large");
  const Bytes content = pattern(context.options.large_object_bytes, 2);
  const auto rate = [&](auto&& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const Seconds time = std::chrono::steady_clock::now() - start;
    return human_bytes(static_cast<std::uint64_t>(static_cast<double>(content.size()) /
                                                  std::max(time.count(), 1e-6)));
  };
  const std::string out = rate([&] { context.create(name, content); });
  const std::string in = rate([&] { context.expect_content(name, content); });
  return fmt::format("{} written at {}/s, read at {}/s", human_bytes(content.size()), out, in);
}

std::string check_absent(Context& context) {
  std::byte byte{};
  for (const std::string_view tail : {"absent", "no/such/folder/absent", "object/below"}) {
    const std::string name = context.name(tail);
    if (context.store.get(name, context.stop)) fail("get finds {}, which was never written", name);
    if (context.store.head(name, context.stop)) {
      fail("head finds {}, which was never written", name);
    }
    if (context.store.get_range(name, 0, {&byte, 1}, context.stop)) {
      fail("a ranged get finds {}, which was never written", name);
    }
  }
  return "";
}

std::string check_ranges(Context& context) {
  const std::string name = context.name("ranges");
  const Bytes content = pattern(50'000, 3);
  context.create(name, content);
  struct Range {
    std::size_t offset, size;
  };
  for (const Range range : {Range{0, 1}, Range{0, 100}, Range{12'345, 8192}, Range{49'999, 1},
                            Range{49'000, 1000}, Range{0, 50'000}}) {
    Bytes out(range.size);
    if (!context.store.get_range(name, range.offset, out, context.stop)) {
      fail("a ranged get says that {} is absent", name);
    }
    if (!std::ranges::equal(out, ByteView(content).subspan(range.offset, range.size))) {
      fail("bytes {} to {} of {} are not those written", range.offset,
           range.offset + range.size - 1, name);
    }
  }
  for (const Range range : {Range{49'999, 2}, Range{50'000, 1}, Range{1'000'000, 10}}) {
    Bytes out(range.size);
    try {
      context.store.get_range(name, range.offset, out, context.stop);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kDamage) continue;
      throw;
    }
    fail("reading {} bytes at {} of {}, which ends at {}, is answered", range.size, range.offset,
         name, content.size());
  }
  return "";
}

std::string check_create_only(Context& context) {
  const std::string name = context.name("create-only");
  const Bytes first = pattern(1000, 4);
  const Bytes second = pattern(1000, 5);
  context.create(name, first);
  const PutOutcome same = context.put(name, first);
  const PutOutcome other = context.put(name, second);
  const bool kept = context.store.get(name, context.stop) == first;
  if (same == PutOutcome::kExists && other == PutOutcome::kExists && kept) return "";
  const std::string detail =
      kept ? "the store claims to have created an object that existed"
           : "the store replaces objects: two writers can destroy each other's backups";
  throw Verdict{context.store.capabilities().exclusive_create ? CheckOutcome::kFailed
                                                              : CheckOutcome::kUnsupported,
                detail};
}

std::string check_concurrent_creators(Context& context) {
  if (!context.store.capabilities().exclusive_create) {
    throw Verdict{CheckOutcome::kUnsupported, "the store cannot create without replacing"};
  }
  constexpr std::size_t kRounds = 4;
  for (std::size_t round = 0; round < kRounds; ++round) {
    const std::string name = context.name(fmt::format("creators/{}", round));
    const std::size_t count = context.options.parallel;
    std::vector<PutOutcome> outcomes(count, PutOutcome::kExists);
    in_parallel(count, count,
                [&](std::size_t i) { outcomes[i] = context.put(name, pattern(20'000, 100 + i)); });
    const auto created = std::ranges::count(outcomes, PutOutcome::kCreated);
    if (created != 1) fail("{} of {} concurrent writers were told they created it", created, count);
    const auto winner = std::ranges::find(outcomes, PutOutcome::kCreated) - outcomes.begin();
    context.expect_content(name, pattern(20'000, 100 + static_cast<std::size_t>(winner)));
  }
  return "";
}

std::string check_names(Context& context) {
  static constexpr std::array<std::string_view, 16> kTails{
      "a b", "a+b", "a=b", "a~b",  "a%b",     "a%2Fb", "a&b", "a?b",
      "a#b", "a:b", "a,b", "a'b!", "a(b)*c$", "a..b",  "-",   "_;@",
  };
  std::vector<std::string> names;
  for (const std::string_view tail : kTails) {
    names.push_back(context.name("names/" + std::string(tail) + "/" + std::string(tail)));
  }
  names.push_back(context.name("names/" + std::string(200, 'n')));
  for (std::size_t i = 0; i < names.size(); ++i) context.create(names[i], pattern(10 + i, i));
  for (std::size_t i = 0; i < names.size(); ++i) {
    context.expect_content(names[i], pattern(10 + i, i));
    std::byte byte{};
    if (!context.store.head(names[i], context.stop) ||
        !context.store.get_range(names[i], 0, {&byte, 1}, context.stop)) {
      fail("{} cannot be found again", names[i]);
    }
    const auto listed = context.store.list({.prefix = names[i]}, context.stop).objects;
    if (listed.empty() || listed.front().name != names[i]) fail("{} is not listed", names[i]);
  }
  std::ranges::sort(names);
  if (context.list_all({.prefix = context.name("names/")}) != names) {
    fail("the listing of unusual names differs from what was written");
  }
  return "";
}

std::string check_read_after_write(Context& context) {
  for (int round = 0; round < kConsistencyRounds; ++round) {
    const std::string name = context.name(fmt::format("fresh/{:03}", round));
    // Asking first must not make the store remember that there was nothing.
    if (context.store.get(name, context.stop)) fail("{} is there before it was written", name);
    context.create(name, pattern(100, static_cast<std::uint64_t>(round)));
    context.expect_content(name, pattern(100, static_cast<std::uint64_t>(round)));
    const auto names = context.list_all({.prefix = context.name("fresh/")});
    if (names.size() != static_cast<std::size_t>(round) + 1 || names.back() != name) {
      fail("{} is not in the listing right after it was written", name);
    }
  }
  return "";
}

std::string check_parallel_requests(Context& context) {
  const std::size_t count = context.options.parallel * 8;
  in_parallel(count, context.options.parallel, [&](std::size_t i) {
    const std::string name = context.name(fmt::format("parallel/{}/{}", i % 3, i));
    const Bytes content = pattern(30'000, i);
    context.create(name, content);
    context.expect_content(name, content);
    Bytes part(1000);
    context.store.get_range(name, i * 10, part, context.stop);
    if (!std::ranges::equal(part, ByteView(content).subspan(i * 10, part.size()))) {
      fail("a ranged get of {} under load returns other bytes", name);
    }
  });
  return fmt::format("{} at once", context.options.parallel);
}

std::string check_clock(Context& context) {
  const Timestamp theirs = context.store.now(context.stop);
  const auto difference = std::chrono::abs(theirs - system_clock().now());
  if (difference > kClockTolerance) {
    fail("the store's clock says {}, {} away from this machine's", to_rfc3339_seconds(theirs),
         human_duration(difference));
  }
  return fmt::format("{} apart", human_duration(difference));
}

}  // namespace holdfast::conformance
