#pragma once
// The parts of gather_evidence(). Internal to app/evidence.cpp and its neighbours.

#include <condition_variable>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "app/deadline.h"
#include "app/evidence.h"
#include "core/cancellation.h"
#include "core/error.h"
#include "postgres/session.h"
#include "repository/repository.h"

namespace holdfast {

// Runs `look`; an Error becomes the Trouble that is returned. kCancelled passes.
template <class Look>
std::optional<Trouble> looked_at(Look look) {
  try {
    look();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kCancelled) throw;
    return trouble_of(error);
  }
  return std::nullopt;
}

inline constexpr std::string_view kNotSeenInTime = "was not seen to its end within";

// How long all looking may take together. Its token ends what is under way.
class TimeLimit {
 public:
  TimeLimit(const std::stop_token& outer, std::chrono::milliseconds at_most)
      : outer_(outer), at_most_(at_most), deadline_(outer, at_most) {}

  std::stop_token token() const { return deadline_.token(); }
  // As above; when the time was up, a Trouble of the kind `late`.
  template <class Look>
  std::optional<Trouble> looked_at(ErrorKind late, Look look) const {
    try {
      return holdfast::looked_at(look);
    } catch (const Error&) {
      if (outer_.stop_requested() || !deadline_.passed()) throw;
      return too_late(late);
    }
  }

 private:
  Trouble too_late(ErrorKind kind) const;

  std::stop_token outer_;
  std::chrono::milliseconds at_most_;
  Deadline deadline_;
};

// The server's session for the threads that look at repositories. They begin before it is there,
// and take turns with it: whoever has it asks the server, and nobody else.
class SharedSession {
 public:
  // nullopt: the server cannot be asked. Once; what comes later changes nothing.
  void set(std::optional<Session> session);
  // However its scope ends, nobody goes on waiting.
  class SetAtLast {
   public:
    explicit SetAtLast(SharedSession& session) : session_(session) {}
    SetAtLast(const SetAtLast&) = delete;
    SetAtLast& operator=(const SetAtLast&) = delete;
    ~SetAtLast() { session_.set(std::nullopt); }

   private:
    SharedSession& session_;
  };
  // Waits for set(), then calls `use` with a pointer that may be null.
  template <class Use>
  void use(const std::stop_token& stop, Use use) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [&] { return set_; });
    check_cancelled(stop);
    use(session_ ? &*session_ : nullptr);
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool set_ = false;
  std::optional<Session> session_;
};

// What is known of the server; the session for those who ask on.
struct LookAtServer {
  ServerEvidence evidence;
  std::optional<Session> session = {};
};
LookAtServer look_at_server(const Config& config, const EvidenceOptions& options,
                            const TimeLimit& limit);

// Proofs of drills are looked for where this machine knows of no recent one.
enum class ProofsOfDrills { kPassOver, kLookFor };
struct RepositoryLook {
  const Config& config;
  const RepositoryConfig& repository;
  const EvidenceOptions& options;
  ProofsOfDrills drills = ProofsOfDrills::kPassOver;
};
RepositoryEvidence look_at_repository(const RepositoryLook& look, SharedSession& session,
                                      const TimeLimit& limit);

// The drills that this machine has reports of, by time.
std::vector<DrillEvidence> reported_drills(const Config& config);
// Everything else of this machine.
MachineEvidence look_at_machine(const Config& config, const EvidenceOptions& options,
                                const TimeLimit& limit);
// Drills of the newest backups, also those done on other machines.
std::vector<DrillEvidence> proven_drills(const Repository& repository, const std::string& name,
                                         const std::vector<CatalogueEntry>& backups,
                                         const std::stop_token& stop);

// How fast a server replays, and what it waits for, where it is behind.
struct ReplayLook {
  std::string whose;
  EvidenceDepth depth = EvidenceDepth::kStatus;
};
ReplayEvidence look_at_replay(Session& session, const ReplayLook& look,
                              const std::stop_token& stop);

}  // namespace holdfast
