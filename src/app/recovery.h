#pragma once
// `recover`: a recovery that stays until it is abandoned. It is restored into a folder of its own
// and stands there paused at its target, isolated (recover/isolation.h) and readable
// (recover/detached_server.h), so that one can look, check, and go on to a later point without
// restoring again. What is written down, and what that means for crashes and for two operators:
// app/recovery_record.h.
//
// The latest point is the end that the archive had when the recovery was planned: the copy is a
// standby without a primary that stops before whatever is archived later.
// Errors: those of restore (app/restore.h) and of the server; kRefused, in words that say what to
//   do, where the recovery is not in a state for it.

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "app/config.h"
#include "app/recovery_record.h"
#include "app/restore.h"
#include "core/progress.h"
#include "recover/detached_server.h"

namespace holdfast {

struct RecoveryStart {
  std::string name = std::string(kDefaultRecovery);
  std::string backup;  // as RestoreRequest has these three
  std::string history;
  TargetRequest point;
  ThawChoice thaw = {};
  std::filesystem::path scratch;  // where the folder of the copy is made; empty: state directory
};

struct RecoveryView {
  enum class State {
    kWorking,
    kPaused,
    kReplaying,
    kInterrupted,
    kFailed,
    kStopped,
    kPromoted,
    kRolledBack,
  };
  RecoveryRecord record;
  State state = State::kStopped;
  std::optional<DetachedServer::Position> position;  // where the server stands, if it answers
  std::string next;                                  // what to do, for people
};
std::string_view to_string(RecoveryView::State state);  // "paused"

// Begins a recovery, or goes on with an unfinished or stopped one of this name, for which neither
// backup, target, place nor a time to see the repository at may be given. Returns when the copy
// stands at its target.
RecoveryView start_recovery(const Config& config, const RepositoryConfig& repository,
                            const RecoveryStart& request, Progress& progress,
                            const std::stop_token& stop);
// On to a later point; archived WAL that is frozen is brought back first. An empty `name`, here and
// below: the only recovery there is.
struct RecoveryForward {
  TargetRequest point;
  ThawChoice thaw = {};
};
RecoveryView forward_recovery(const Config& config, const std::string& name,
                              const RecoveryForward& request, Progress& progress,
                              const std::stop_token& stop);
// Every check that a drill does, on the paused copy, which is stopped and started again for the
// page checksums. The verdict is in the record.
RecoveryView check_recovery(const Config& config, const std::string& name, Progress& progress,
                            const std::stop_token& stop);
struct EndedRecovery {
  std::filesystem::path record;                // where it is now
  std::optional<RecoveryPromotion> promotion;  // of a copy that is the cluster now
  std::string outcome;                         // "removed", or what stays and why
};
// Stops the copy's server, removes the copy, and puts the record among the ended ones. What serves
// the cluster since a promotion stays, and so does what was replaced; so says the last step.
EndedRecovery abandon_recovery(const Config& config, const std::string& name,
                               const std::stop_token& stop);

// All, or one.
std::vector<RecoveryView> list_recoveries(const Config& config, const std::string& name,
                                          const std::stop_token& stop);

struct RecoverySession {
  std::filesystem::path psql;
  std::string connection;
};
RecoverySession recovery_session(const Config& config, const std::string& name,
                                 const std::string& database, const std::stop_token& stop);

// Replaces this program by psql; with a `statement`, psql runs it and ends.
[[noreturn]] void become_psql(const RecoverySession& session, const std::string& statement);

}  // namespace holdfast
