#pragma once
// The parts of gather_evidence(). Internal to app/evidence.cpp and its neighbours.

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "app/evidence.h"
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

// What is known of the server; the session for those who ask on.
struct LookAtServer {
  ServerEvidence evidence;
  std::optional<Session> session = {};
};
LookAtServer look_at_server(const Config& config, const EvidenceOptions& options,
                            const std::stop_token& stop);

// Proofs of drills are looked for where this machine knows of no recent one.
enum class ProofsOfDrills { kPassOver, kLookFor };
struct RepositoryLook {
  const Config& config;
  const RepositoryConfig& repository;
  const EvidenceOptions& options;
  ProofsOfDrills drills = ProofsOfDrills::kPassOver;
};
// `session` may be null.
RepositoryEvidence look_at_repository(const RepositoryLook& look, Session* session,
                                      const std::stop_token& stop);

MachineEvidence look_at_machine(const Config& config, const EvidenceOptions& options,
                                const std::stop_token& stop);
// Drills of the newest backups, also those done on other machines.
std::vector<DrillEvidence> proven_drills(const Repository& repository,
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
