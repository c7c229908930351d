#pragma once
// Names of users, who acts, and what root makes on behalf of somebody else.
//
// Errors: FileError (system/files.h) when an owner cannot be set. Threads: any.

#include <filesystem>
#include <string>

#include <sys/types.h>

#include "system/files.h"

namespace holdfast {

std::string user_name(uid_t uid);  // the number where it has no name

// As root: what is at `path`, a link itself and not what it leads to, gets the owner and group of
// `like`. Anybody else owns what they make already. Does nothing where `like` is missing.
struct OwnerLike {
  std::filesystem::path path, like;
};
void give_owner(const OwnerLike& what);
void give_owner(const FileDescriptor& file, const OwnerLike& what);  // of the open file

}  // namespace holdfast
