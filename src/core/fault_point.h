#pragma once
// Named points at which a test can kill or stop the program. They cost one branch when unused and
// are in the shipped program too: what is tested is what runs.
//
//   HOLDFAST_FAULT_POINT=backup.before_commit:kill     SIGKILL to itself at that point
//   HOLDFAST_FAULT_POINT=backup.pack_stored#3:stop     SIGSTOP to itself at the third pass
//   HOLDFAST_FAULT_TRACE=/path                         appends the name of every point passed
//
// kFaultPoints lists every point; passing a name that is not in it is a bug, and the crash suite
// fails when one of them is never reached.

#include <array>
#include <string_view>

namespace holdfast {

inline constexpr std::array<std::string_view, 50> kFaultPoints{
    "init.before_descriptor",
    "init.before_keys",
    "init.before_history",
    "backup.locked",
    "backup.begun",
    "backup.started",
    "backup.intent_written",
    "backup.pack_stored",
    "backup.files_read",
    "backup.stopped",
    "backup.wal_archived",
    "backup.wal_stored",
    "backup.manifest_stored",
    "backup.before_commit",
    "backup.committed",
    "restore.marker_written",
    "restore.delta_prepared",
    "restore.window_written",
    "restore.before_sync",
    "restore.before_control_file",
    "take_over.opened",
    "take_over.bound",
    "push.stored",
    "push.before_spool",
    "get.absent",
    "get.fetched",
    "get.before_rename",
    "push.helper_begins",
    "push.copied",
    "wal.part_stored",
    "get.from_spool",
    "get.prefetched",
    "copy.begun",
    "copy.intents_written",
    "copy.pack_stored",
    "copy.packs_stored",
    "copy.wal_copied",
    "copy.maps_stored",
    "copy.manifest_stored",
    "copy.before_commit",
    "copy.committed",
    "expire.marked",
    "expire.deleting",
    "expire.outcome_removed",
    "expire.manifest_removed",
    "expire.objects_removed",
    "expire.wal_marked",
    "expire.wal_removed",
    "recover.step_begun",
    "recover.step_worked",
};

void fault_point(std::string_view name);

}  // namespace holdfast
