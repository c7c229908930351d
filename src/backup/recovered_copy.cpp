#include "backup/recovered_copy.h"

#include "core/error.h"

namespace holdfast {

void require_one_timeline(const RecoveredCopy& copy, const BackupStart& began) {
  if (contains_up_to(copy.timelines, began.timeline, copy.replayed)) return;
  throw Error(
      ErrorKind::kRefused,
      fmt::format("the copy stands at {} of timeline {}, and its last restart point lies on "
                  "timeline {}: a backup of it would need the WAL of both",
                  to_string(copy.replayed), timeline_at(copy.timelines, copy.replayed).value,
                  began.timeline.value),
      {.object = copy.facts.recovery,
       .hint =
           "Take it on behind the next checkpoint of that timeline: 'holdfast recover forward'. "
           "Or recover it from a newer backup."});
}

Lsn stop_of_copy(const RecoveredCopy& copy, const BackupStop& ended, Session& session) {
  const Lsn now = session.insert_position();
  if (now == copy.replayed && ended.lsn <= copy.replayed && session.in_recovery()) {
    return copy.replayed;
  }
  throw Error(
      ErrorKind::kPostgres,
      fmt::format("the copy went on while it was backed up, from {} to {}",
                  to_string(copy.replayed), to_string(std::max(now, ended.lsn))),
      {.object = copy.facts.recovery, .hint = "Leave it paused, and take the backup again."});
}

}  // namespace holdfast
