#include "backup/owners.h"

#include <array>

#include <grp.h>
#include <pwd.h>

namespace holdfast {
namespace {

std::string user_name(std::uint32_t uid) {
  std::array<char, 16384> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
  return found == nullptr ? "" : found->pw_name;
}

std::string group_name(std::uint32_t gid) {
  std::array<char, 16384> buffer{};
  group entry{};
  group* found = nullptr;
  ::getgrgid_r(gid, &entry, buffer.data(), buffer.size(), &found);
  return found == nullptr ? "" : found->gr_name;
}

}  // namespace

std::uint32_t OwnerTable::intern(std::uint32_t uid, std::uint32_t gid) {
  const auto [at, inserted] =
      known_.try_emplace({uid, gid}, static_cast<std::uint32_t>(owners_.size()));
  if (inserted) owners_.push_back({uid, gid, user_name(uid), group_name(gid)});
  return at->second;
}

}  // namespace holdfast
