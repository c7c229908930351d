#include "app/evidence.h"

#include <algorithm>

#include "app/check_parts.h"
#include "app/evidence_parts.h"
#include "core/cancellation.h"

namespace holdfast {
namespace {

// A report of this machine that is younger than this makes looking for proofs unnecessary.
constexpr std::chrono::days kRecentDrill{30};

// What `check` would say of the server and of the configuration, without what it writes.
void add_checks(const LoadedConfig& loaded, std::optional<Session>& session, Evidence& evidence,
                const std::stop_token& stop) {
  CheckFindings findings;
  for (const ConfigFinding& problem : check_config(loaded)) {
    const bool failed = problem.severity == ConfigFinding::Severity::kProblem;
    findings.add({"configuration", failed ? FindingLevel::kFailed : FindingLevel::kWarning,
                  problem.key + ": " + problem.message, problem.hint});
  }
  if (session) {
    check_postgres(findings, *session, loaded.config, stop);
    check_data_directory(findings, *session, loaded.config);
  }
  for (CheckFinding& finding : findings.take()) {
    if (finding.level != FindingLevel::kOk) evidence.machine.checks.push_back(std::move(finding));
  }
}

bool drilled_lately(const MachineEvidence& machine, Timestamp now) {
  return std::ranges::any_of(
      machine.drills, [&](const DrillEvidence& drill) { return drill.time > now - kRecentDrill; });
}

}  // namespace

Trouble trouble_of(const Error& error) {
  std::string message = error.message();
  if (!error.object().empty() && message.find(error.object()) == std::string::npos) {
    message += " (" + error.object() + ")";
  }
  return {error.kind(), std::move(message), error.hint()};
}

Evidence gather_evidence(const LoadedConfig& loaded, const EvidenceOptions& options,
                         const std::stop_token& stop) {
  const Config& config = loaded.config;
  find_repository(config, options.repository);  // there is one of this name
  Evidence evidence{.now = system_clock().now(), .cluster = config.cluster};
  evidence.machine = look_at_machine(config, options, stop);
  LookAtServer server = look_at_server(config, options, stop);
  evidence.server = std::move(server.evidence);
  if (options.depth == EvidenceDepth::kDoctor) {
    add_checks(loaded, server.session, evidence, stop);
  }
  const auto drills = drilled_lately(evidence.machine, evidence.now) ? ProofsOfDrills::kPassOver
                                                                     : ProofsOfDrills::kLookFor;
  for (const RepositoryConfig& repository : config.repositories) {
    if (!options.repository.empty() && repository.name != options.repository) continue;
    Session* const session = server.session ? &*server.session : nullptr;
    evidence.repositories.push_back(
        look_at_repository({config, repository, options, drills}, session, stop));
    auto& drilled = evidence.repositories.back().drills;
    auto& all = evidence.machine.drills;
    all.insert(all.end(), drilled.begin(), drilled.end());
  }
  std::ranges::stable_sort(evidence.machine.drills, {}, &DrillEvidence::time);
  evidence.now = system_clock().now();
  return evidence;
}

}  // namespace holdfast
