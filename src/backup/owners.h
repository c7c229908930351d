#pragma once
// Collects the owners of files, so that an entry carries a small number instead of names.

#include <map>
#include <vector>

#include "repository/backup_info.h"

namespace holdfast {

class OwnerTable {
 public:
  std::uint32_t intern(std::uint32_t uid, std::uint32_t gid);
  const std::vector<FileOwner>& owners() const { return owners_; }

 private:
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> known_;
  std::vector<FileOwner> owners_;
};

}  // namespace holdfast
