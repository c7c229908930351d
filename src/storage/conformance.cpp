#include "storage/conformance.h"

#include <algorithm>
#include <array>

#include "core/cancellation.h"
#include "storage/conformance_context.h"

namespace holdfast {
namespace conformance {
namespace {

struct NamedCheck {
  std::string_view name;
  std::string (*run)(Context&);
};

constexpr std::array kChecks{
    NamedCheck{"write and read an object", check_round_trip},
    NamedCheck{"empty object", check_empty_object},
    NamedCheck{"large object", check_large_object},
    NamedCheck{"absent objects", check_absent},
    NamedCheck{"ranged reads", check_ranges},
    NamedCheck{"create only", check_create_only},
    NamedCheck{"concurrent creators", check_concurrent_creators},
    NamedCheck{"unusual names", check_names},
    NamedCheck{"read and list after write", check_read_after_write},
    NamedCheck{"parallel requests", check_parallel_requests},
    NamedCheck{"clock", check_clock},
    NamedCheck{"order of listings", check_list_order},
    NamedCheck{"paging of listings", check_list_paging},
    NamedCheck{"folders in listings", check_list_folders},
    NamedCheck{"delete", check_delete},
    NamedCheck{"delete many", check_delete_many},
    NamedCheck{"long listing", check_long_listing},
    NamedCheck{"clean up", clean_up},
};

ConformanceCheck run(const NamedCheck& check, Context& context) {
  ConformanceCheck result{.name = std::string(check.name)};
  const auto start = std::chrono::steady_clock::now();
  try {
    check_cancelled(context.stop);
    result.detail = check.run(context);
  } catch (const Verdict& verdict) {
    result.outcome = verdict.outcome;
    result.detail = verdict.detail;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kCancelled) throw;
    result.outcome = CheckOutcome::kFailed;
    result.detail = error.message();
  }
  result.time = std::chrono::steady_clock::now() - start;
  return result;
}

}  // namespace

void Context::expect_content(const std::string& object, ByteView content) const {
  const auto found = store.get(object, stop);
  if (!found) fail("{} was written, but the store says that there is no such object", object);
  if (found->size() != content.size()) {
    fail("{} has {} bytes where {} were written", object, found->size(), content.size());
  }
  const auto differs = std::ranges::mismatch(*found, content).in1;
  if (differs != found->end()) {
    fail("{} differs from what was written at byte {}", object, differs - found->begin());
  }
}

std::vector<std::string> Context::list_all(ListRequest request) const {
  std::vector<std::string> names;
  for (;;) {
    const ListPage page = store.list(request, stop);
    if (page.objects.size() + page.folders.size() > request.limit) {
      fail("a page holds {} names where at most {} were asked for",
           page.objects.size() + page.folders.size(), request.limit);
    }
    for (const ObjectInfo& object : page.objects) names.push_back(object.name);
    for (const std::string& folder : page.folders) names.push_back(folder);
    if (!page.next) return names;
    if (*page.next <= request.after) fail("a listing goes on at {} again", *page.next);
    request.after = *page.next;
  }
}

Bytes pattern(std::size_t size, std::uint64_t seed) {
  Bytes bytes(size);
  std::uint64_t state = seed * 0x9e3779b97f4a7c15U + 1;
  for (std::byte& byte : bytes) {
    // xorshift64 (Marsaglia 2003)
    state ^= state << 13U;
    state ^= state >> 7U;
    state ^= state << 17U;
    byte = static_cast<std::byte>(state >> 32U);
  }
  return bytes;
}

}  // namespace conformance

std::vector<ConformanceCheck> run_conformance(ObjectStore& store, const ConformanceOptions& options,
                                              const std::stop_token& stop) {
  HF_INVARIANT(options.scratch_prefix.ends_with('/'));
  conformance::Context context{.store = store, .options = options, .stop = stop};
  std::vector<ConformanceCheck> results;
  for (const auto& check : conformance::kChecks) {
    results.push_back(conformance::run(check, context));
  }
  return results;
}

bool conforms(const std::vector<ConformanceCheck>& checks) {
  return std::ranges::none_of(
      checks, [](const ConformanceCheck& check) { return check.outcome == CheckOutcome::kFailed; });
}

}  // namespace holdfast
