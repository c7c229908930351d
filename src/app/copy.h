#pragma once
// The work of `copy`, from the configuration: which backups, between which repositories, one after
// another from the oldest on. A damaged backup does not keep the others from being copied; it is
// told at the end. What ends the copy of every backup alike (a store that fails, another history in
// the target, an interruption) is thrown. Nothing is printed here.

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "app/config.h"
#include "app/thaw.h"
#include "copy/copy.h"
#include "core/error.h"
#include "core/progress.h"
#include "core/time.h"
#include "verify/verify.h"

namespace holdfast {

enum class VerifyCopies { kNo, kYes };

struct CopyRequest {
  // One of these three; without any, every backup.
  std::optional<std::string> backup = {};  // an id, a name, latest or oldest
  std::optional<std::string> since = {};   // a time as --target-time takes it: of the end
  std::string from, to;                    // names of repositories; `from` empty: the first one
  CopyForm form = CopyForm::kPlain;
  CopiedWal wal = CopiedWal::kNeeded;
  VerifyCopies verify = VerifyCopies::kNo;  // read every byte of each copy again
  ThawChoice thaw = {};  // of what is read in the source and, to verify it, in the target
};

struct FailedCopy {
  std::string id;
  Error error;
};

struct CopyAnswer {
  std::string from, to;  // names of the repositories
  std::vector<CopiedBackup> copied;
  std::vector<FailedCopy> failed;
  std::optional<VerifyResult> verified = {};
  std::vector<std::string> warnings;
};
CopyAnswer copy_backups(const Config& config, const CopyRequest& request, Progress& progress,
                        const std::stop_token& stop);

struct CopyPreview {
  std::string from, to;
  std::vector<CopyPlan> plans;
  std::vector<FailedCopy> failed;
  std::vector<std::string> warnings;
};
// What copy_backups() would do. Writes nothing.
CopyPreview preview_copy(const Config& config, const CopyRequest& request,
                         const std::stop_token& stop);

}  // namespace holdfast
