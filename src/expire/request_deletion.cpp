#include <algorithm>

#include <unistd.h>

#include "core/error.h"
#include "core/fault_point.h"
#include "expire/expire.h"

namespace holdfast {
namespace {

BackupFolder& folder_to_delete(ExpireSurvey& survey, const BackupName& name) {
  const auto folder = std::ranges::find(survey.folders, name, &BackupFolder::name);
  if (folder == survey.folders.end() || !folder->is_backup) {
    throw Error(ErrorKind::kNotFound, "there is no such backup",
                {.object = name.id.text, .hint = "See 'holdfast list'."});
  }
  return *folder;
}

void require_deletable(const Repository& repository, ExpireSurvey survey, const BackupName& name,
                       const ExpireOptions& options, const std::stop_token& stop) {
  BackupFolder& folder = folder_to_delete(survey, name);
  folder.state = FolderState::kMarked;
  folder.tombstone = Tombstone{.backup = name, .number = 1, .by_policy = false};
  folder.last_tombstone = TombstoneName{.backup = name, .number = 1, .written = survey.now};
  const ArchiveSurvey archive = survey_archive(repository, options.cluster, stop);
  const ExpirePlan plan =
      plan_expire(repository, survey, archive,
                  {.policy = options.policy, .zone = options.zone, .grace = options.grace}, stop);
  const auto planned = std::ranges::find(plan.backups, name, &PlannedBackup::name);
  HF_INVARIANT(planned != plan.backups.end());
  if (planned->action != ExpireAction::kWithdraw) return;
  const KeepReason& reason = planned->reasons.front();
  if (reason.why == KeepWhy::kHeld) {
    throw Error(
        ErrorKind::kRefused, fmt::format("the backup is held {}", reason.detail),
        {.object = name.id.text, .hint = "'holdfast release " + name.id.text + "' ends the hold."});
  }
  throw Error(ErrorKind::kRefused,
              "this is the last good backup of what the server writes now; it is never deleted",
              {.object = name.id.text, .hint = "Take another one first: 'holdfast backup'."});
}

// The number behind which a mark follows. An unreadable mark is withdrawn first, like one by
// policy; what may be "deleting" is not touched.
std::uint32_t number_before_mark(const Repository& repository, const BackupFolder& folder,
                                 Tombstone mark, const std::stop_token& stop) {
  if (!folder.last_tombstone) return 0;
  const std::uint32_t last = folder.last_tombstone->number;
  const bool is_mark = last % 2 == 1;
  if (!is_mark && folder.state == FolderState::kUnsure) {
    throw Error(ErrorKind::kDamage, "the tombstone of this backup cannot be read",
                {.object = names::series_record(folder.name, names::SeriesKind::kTombstone, last)});
  }
  if (!is_mark) return last;
  mark.number = last + 1;
  mark.state = TombstoneState::kWithdrawn;
  if (!write_tombstone(repository, mark, stop)) {
    throw Error(ErrorKind::kRefused, "somebody else decides about this backup at this moment",
                {.object = folder.name.id.text, .hint = "Run it again."});
  }
  return mark.number;
}

}  // namespace

DeletionAnswer request_deletion(const Repository& repository, const ExpireOptions& options,
                                const DeletionRequest& request, MarkIt mark_it,
                                const std::stop_token& stop) {
  ExpireSurvey survey = survey_folders(repository, options.cluster, stop);
  const BackupFolder folder = folder_to_delete(survey, request.backup);
  DeletionAnswer answer{.marked_before = false,
                        .versioning = versioning_state(repository.store(), stop),
                        .due = survey.now + options.grace};
  const bool marked = folder.state == FolderState::kMarked && folder.requested();
  if (marked || folder.state == FolderState::kDeleting) {
    answer.marked_before = true;
    answer.due = folder.marked_at() + (marked ? options.grace : std::chrono::milliseconds(0));
    return answer;
  }
  require_deletable(repository, std::move(survey), request.backup, options, stop);
  if (mark_it == MarkIt::kNo) return answer;
  Tombstone mark{.backup = request.backup,
                 .number = 0,
                 .state = TombstoneState::kMarked,
                 .by_policy = false,
                 .reason = request.reason,
                 .time = to_rfc3339_seconds(system_clock().now()),
                 .by = fmt::format("{} process {}, delete", options.host, ::getpid())};
  mark.number = number_before_mark(repository, folder, mark, stop) + 1;
  mark.state = TombstoneState::kMarked;
  if (!write_tombstone(repository, mark, stop)) {
    throw Error(ErrorKind::kRefused, "somebody else decides about this backup at this moment",
                {.object = folder.name.id.text, .hint = "Run it again."});
  }
  fault_point("expire.marked");
  return answer;
}

}  // namespace holdfast
