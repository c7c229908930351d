#pragma once
// A bucket with versioning, seen as it was, and what was removed from it brought back.

#include <stop_token>
#include <string>

#include "app/config.h"
#include "app/retention.h"
#include "repository/undelete.h"

namespace holdfast {

// From here on the repository (empty: the first) is opened as it was at `time`, which is read as
// --target-time is. kUsage for a time that makes no sense or has not come yet, and for a folder.
void see_as_of(Config& config, const std::string& repository, const std::string& time);

struct UndeleteRequest {
  std::string as_of;
  ReallyDo really = ReallyDo::kNo;
};
struct UndeleteAnswer {
  Timestamp as_of;
  Undeleted undeleted;
};
// The repository itself need not be readable any more: its descriptor comes back too.
UndeleteAnswer undelete(const Config& config, const RepositoryConfig& repository,
                        const UndeleteRequest& request, const std::stop_token& stop);

}  // namespace holdfast
