#include "system/users.h"

#include <cerrno>
#include <optional>
#include <vector>

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast {
namespace {

constexpr std::size_t kNameBufferBytes = 16384;

std::optional<struct stat> owner_to_give(const OwnerLike& what) {
  struct stat owner{};
  if (::geteuid() != 0 || ::stat(what.like.c_str(), &owner) != 0) return std::nullopt;
  return owner;
}

[[noreturn]] void throw_not_given(const OwnerLike& what) {
  throw_file_error(errno, "set the owner of", what.path.native());
}

}  // namespace

std::string user_name(uid_t uid) {
  std::vector<char> buffer(kNameBufferBytes);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    return found->pw_name;
  }
  return std::to_string(uid);
}

void give_owner(const OwnerLike& what) {
  const auto owner = owner_to_give(what);
  if (!owner) return;
  if (::lchown(what.path.c_str(), owner->st_uid, owner->st_gid) != 0) throw_not_given(what);
}

void give_owner(const FileDescriptor& file, const OwnerLike& what) {
  const auto owner = owner_to_give(what);
  if (!owner) return;
  if (::fchown(file.get(), owner->st_uid, owner->st_gid) != 0) throw_not_given(what);
}

}  // namespace holdfast
