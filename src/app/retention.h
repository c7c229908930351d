#pragma once
// The work of `expire`, `delete`, `hold` and `release`, from the configuration. Nothing is printed
// here. Errors: those of expire/expire.h and repository/hold.h; kUsage for a date that makes no
// sense.

#include <optional>
#include <stop_token>
#include <string>

#include "app/config.h"
#include "expire/expire.h"
#include "repository/catalogue.h"
#include "repository/hold.h"

namespace holdfast {

// For people, of what removes something: that a bucket keeps older versions. Empty where space is
// freed at once, or nobody knows.
std::string space_note(VersioningState versioning);

enum class ReallyDo { kNo, kYes };

struct ExpireRequest {
  ReallyDo really = ReallyDo::kYes;  // kNo: only say what would be done
  ExpireConsent consent = ExpireConsent::kNone;
};
ExpireResult expire(const Config& config, const RepositoryConfig& repository,
                    const ExpireRequest& request, const std::stop_token& stop);

struct DeleteRequest {
  std::string backup;  // as for `show`
  std::string reason;
  ReallyDo really = ReallyDo::kYes;
};
struct DeleteAnswer {
  CatalogueEntry entry;
  DeletionAnswer deletion;
};
DeleteAnswer delete_backup(const Config& config, const RepositoryConfig& repository,
                           const DeleteRequest& request, const std::stop_token& stop);

struct HoldRequest {
  std::string backup;
  std::string until;  // a time as --target-time takes it, or a date
  std::string reason;
};
struct HoldAnswer {
  BackupName backup;
  Hold hold;
  bool brought_back = false;  // it was going to be deleted
};
HoldAnswer hold_backup(const Config& config, const RepositoryConfig& repository,
                       const HoldRequest& request, const std::stop_token& stop);

struct ReleaseAnswer {
  BackupName backup;
  bool was_held = false;
};
ReleaseAnswer release_backup(const Config& config, const RepositoryConfig& repository,
                             const std::string& wanted, const std::stop_token& stop);

}  // namespace holdfast
