#include "fuzz_target.h"

#include <algorithm>

#include "core/error.h"

namespace holdfast::fuzz {
namespace {

std::vector<Target>& all() {
  static std::vector<Target> registered;
  return registered;
}

bool is_about_the_input(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kDamage:
    case ErrorKind::kUsage:
    case ErrorKind::kConfiguration:
    case ErrorKind::kWrongKey:
    case ErrorKind::kRefused:
    case ErrorKind::kNewerFormat:
    case ErrorKind::kRepository:  // what a server answers
    case ErrorKind::kPostgres:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::span<const Target> targets() {
  return all();
}

const Target* find_target(std::string_view name) {
  const auto found = std::ranges::find(all(), name, &Target::name);
  return found == all().end() ? nullptr : &*found;
}

void run_one(const Target& target, ByteView input) {
  try {
    target.run(input);
  } catch (const Error& error) {
    if (!is_about_the_input(error.kind())) throw;
  }
}

Registration::Registration(Target target) {
  all().push_back(target);
  std::ranges::sort(all(), {}, &Target::name);  // the order of linking must not matter
}

}  // namespace holdfast::fuzz
