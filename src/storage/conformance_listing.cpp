// The checks of storage/conformance.h on listings and deletion.

#include <algorithm>
#include <array>
#include <set>

#include "core/error.h"
#include "storage/conformance_context.h"

namespace holdfast::conformance {
namespace {

// '-' and '.' sort before '/', digits behind it: a listing folder by folder gets this wrong.
constexpr std::array<std::string_view, 12> kListed{
    "a/x", "a/y/z", "a-b", "a.b", "a0", "a0d/x", "b/1", "b/2", "b/3", "c", "ca/b", "~",
};

std::vector<std::string> listed_names(const Context& context) {
  std::vector<std::string> names;
  for (const std::string_view tail : kListed)
    names.push_back(context.name("list/") + std::string(tail));
  std::ranges::sort(names);
  return names;
}

// Names of the model that begin with `prefix` and are greater than `after`, folded if asked.
std::vector<std::string> model(const Context& context, const ListRequest& request) {
  std::set<std::string> expected;
  for (const std::string& name : listed_names(context)) {
    if (!name.starts_with(request.prefix)) continue;
    const std::size_t slash = name.find('/', request.prefix.size());
    const bool fold = request.group_folders && slash != std::string::npos;
    const std::string shown = fold ? name.substr(0, slash + 1) : name;
    if (shown > request.after) expected.insert(shown);
  }
  return {expected.begin(), expected.end()};
}

void expect_listing(const Context& context, const ListRequest& request) {
  std::vector<std::string> found = context.list_all(request);
  // Folders stand apart from objects in a page.
  if (request.group_folders) std::ranges::sort(found);
  const std::vector<std::string> expected = model(context, request);
  if (found == expected) return;
  fail("listing {} after \"{}\"{} in pages of {} gives [{}] instead of [{}]", request.prefix,
       request.after, request.group_folders ? " by folder" : "", request.limit,
       fmt::join(found, ", "), fmt::join(expected, ", "));
}

bool is_listed(const Context& context, const std::string& name) {
  const auto page = context.store.list({.prefix = name}, context.stop);
  return std::ranges::any_of(page.objects,
                             [&](const ObjectInfo& object) { return object.name == name; });
}

}  // namespace

std::string check_list_order(Context& context) {
  std::size_t size = 0;
  for (const std::string& name : listed_names(context)) context.create(name, pattern(size++, 1));
  expect_listing(context, {.prefix = context.name("list/")});
  const auto page = context.store.list({.prefix = context.name("list/")}, context.stop);
  for (std::size_t i = 0; i < page.objects.size(); ++i) {
    if (page.objects[i].size != i) {
      fail("{} is listed with {} bytes instead of {}", page.objects[i].name, page.objects[i].size,
           i);
    }
  }
  for (const std::string_view prefix : {"list/a", "list/a/", "list/b/2", "list/none", "list/c"}) {
    expect_listing(context, {.prefix = context.name(prefix)});
  }
  return "";
}

std::string check_list_paging(Context& context) {
  const std::string prefix = context.name("list/");
  for (const std::size_t limit : {1U, 2U, 3U, 5U, 100U}) {
    expect_listing(context, {.prefix = prefix, .limit = limit});
  }
  for (const std::string& name : listed_names(context)) {
    expect_listing(context, {.prefix = prefix, .after = name, .limit = 2});
    expect_listing(context, {.prefix = prefix, .after = name + "!"});
  }
  expect_listing(context, {.prefix = prefix, .after = prefix + "b/"});
  expect_listing(context, {.prefix = prefix, .after = context.name("list~")});
  return "";
}

std::string check_list_folders(Context& context) {
  const std::string prefix = context.name("list/");
  for (const std::size_t limit : {1U, 2U, 100U}) {
    expect_listing(context, {.prefix = prefix, .group_folders = true, .limit = limit});
    expect_listing(context, {.prefix = prefix + "a", .group_folders = true, .limit = limit});
  }
  // A folder's name as start: the folder is not shown again.
  expect_listing(context, {.prefix = prefix, .after = prefix + "b/", .group_folders = true});
  expect_listing(context, {.prefix = prefix + "a/", .group_folders = true});
  return "";
}

std::string check_delete(Context& context) {
  const std::string name = context.name("delete/me");
  context.create(name, pattern(10, 1));
  try {
    context.store.remove(name, context.stop);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kRepository || error.retryable()) throw;
    context.may_delete = false;
    throw Verdict{CheckOutcome::kUnsupported,
                  fmt::format("expiry will report what it cannot delete: {}", error.message())};
  }
  if (context.store.get(name, context.stop) || context.store.head(name, context.stop)) {
    fail("{} can still be read after it was deleted", name);
  }
  if (is_listed(context, name)) fail("{} is still listed after it was deleted", name);
  context.store.remove(name, context.stop);  // again, and what never was: both fine
  context.store.remove(context.name("delete/never"), context.stop);
  return "";
}

std::string check_delete_many(Context& context) {
  context.require_delete();
  constexpr std::size_t kCount = 50;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kCount; ++i) {
    names.push_back(context.name(fmt::format("delete-many/{}/it&{}", i % 4, i)));
    if (i % 5 != 0) context.create(names.back(), pattern(i, i));  // every fifth is not there
  }
  const std::string kept = context.name("delete-many/kept");
  context.create(kept, pattern(1, 1));
  const auto failures = context.store.remove_many(names, context.stop);
  if (!failures.empty()) {
    fail("{} objects stay, among them {}: {}", failures.size(), failures.front().name,
         failures.front().reason);
  }
  if (context.list_all({.prefix = context.name("delete-many/")}) != std::vector{kept}) {
    fail("other objects are left than the one that was not to be deleted");
  }
  if (!context.store.remove_many({}, context.stop).empty()) fail("deleting nothing fails");
  return "";
}

std::string check_long_listing(Context& context) {
  const std::string prefix = context.name("long/");
  const std::size_t count = context.options.listed_objects;
  const auto name_of = [&](std::size_t i) {
    return fmt::format("{}{:02}/{:06}", prefix, i % 7, i);
  };
  in_parallel(count, context.options.parallel,
              [&](std::size_t i) { context.create(name_of(i), pattern(1, i)); });
  std::vector<std::string> expected;
  for (std::size_t i = 0; i < count; ++i) expected.push_back(name_of(i));
  std::ranges::sort(expected);
  if (context.list_all({.prefix = prefix}) != expected) {
    fail("{} objects were written, but the listing differs from them", count);
  }
  context.require_delete();
  const auto failures = context.store.remove_many(expected, context.stop);
  if (!failures.empty()) fail("{} objects cannot be deleted", failures.size());
  const auto left = context.list_all({.prefix = prefix});
  if (!left.empty()) fail("{} objects are listed after they were deleted", left.size());
  return fmt::format("{} objects", count);
}

std::string clean_up(Context& context) {
  const auto names = context.list_all({.prefix = context.options.scratch_prefix});
  const auto left_at = [&](std::size_t count, std::string_view reason) {
    return Verdict{CheckOutcome::kUnsupported,
                   fmt::format("{} test objects stay below {}: {}", count,
                               context.options.scratch_prefix, reason)};
  };
  if (!context.may_delete) throw left_at(names.size(), "objects cannot be deleted");
  const auto failures = context.store.remove_many(names, context.stop);
  if (!failures.empty()) throw left_at(failures.size(), failures.front().reason);
  return fmt::format("{} objects removed", names.size());
}

}  // namespace holdfast::conformance
