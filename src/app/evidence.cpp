#include "app/evidence.h"

#include <algorithm>

#include <fmt/format.h>

#include "app/check_parts.h"
#include "app/evidence_parts.h"
#include "core/cancellation.h"
#include "core/parallel.h"
#include "core/redact.h"
#include "core/text.h"

namespace holdfast {
namespace {

// A report of this machine that is younger than this makes looking for proofs unnecessary.
constexpr std::chrono::days kRecentDrill{30};

// What `check` would say of the server and of the configuration, without what it writes.
std::vector<CheckFinding> checks_of(const LoadedConfig& loaded, std::optional<Session>& session,
                                    const TimeLimit& limit) {
  CheckFindings findings;
  for (const ConfigFinding& problem : check_config(loaded)) {
    const bool failed = problem.severity == ConfigFinding::Severity::kProblem;
    findings.add({"configuration", failed ? FindingLevel::kFailed : FindingLevel::kWarning,
                  problem.key + ": " + problem.message, problem.hint});
  }
  if (session) {
    const auto trouble = limit.looked_at(ErrorKind::kPostgres, [&] {
      check_postgres(findings, *session, loaded.config, limit.token());
      check_data_directory(findings, *session, loaded.config);
    });
    if (trouble) {
      findings.add({"postgres", FindingLevel::kWarning, trouble->message, trouble->hint});
    }
  }
  std::vector<CheckFinding> all = findings.take();
  std::erase_if(all, [](const CheckFinding& each) { return each.level == FindingLevel::kOk; });
  return all;
}

bool drilled_lately(const std::vector<DrillEvidence>& drills, Timestamp now) {
  return std::ranges::any_of(
      drills, [&](const DrillEvidence& drill) { return drill.time > now - kRecentDrill; });
}

// A report says more than the proof of the same drill.
void add_proven(std::vector<DrillEvidence>& drills, const std::vector<DrillEvidence>& proven) {
  for (const DrillEvidence& proof : proven) {
    const bool reported = std::ranges::any_of(drills, [&](const DrillEvidence& drill) {
      return drill.time == proof.time && drill.backup == proof.backup;
    });
    if (!reported) drills.push_back(proof);
  }
}

std::chrono::milliseconds time_for(const EvidenceOptions& options) {
  if (options.at_most) return *options.at_most;
  return options.depth == EvidenceDepth::kDoctor ? kDoctorTakesAtMost : kStatusTakesAtMost;
}

// Looks at everything side by side. Each look has its own place to write to.
class Gathering {
 public:
  Gathering(const LoadedConfig& loaded, const EvidenceOptions& options, Evidence& evidence,
            const std::stop_token& stop)
      : loaded_(loaded),
        config_(loaded.config),
        options_(options),
        evidence_(evidence),
        limit_(stop, time_for(options)) {}

  void run(const std::stop_token& stop) {
    std::vector<DrillEvidence> drills = reported_drills(config_);
    const bool doctor = options_.depth == EvidenceDepth::kDoctor;
    const bool enough = drilled_lately(drills, evidence_.now) && !doctor;
    look_for_drills_ = enough ? ProofsOfDrills::kPassOver : ProofsOfDrills::kLookFor;
    for (const RepositoryConfig& repository : config_.repositories) {
      if (options_.repository.empty() || repository.name == options_.repository) {
        wanted_.push_back(&repository);
      }
    }
    evidence_.repositories.resize(wanted_.size());
    constexpr std::size_t kOthers = 2;  // the server and the machine
    const std::size_t count = wanted_.size() + kOthers;
    // Each ends by the limit's token, which follows `stop`.
    parallel_for(count, count, stop, [&](std::size_t i, const std::stop_token&) {
      if (i == 0) return look_at_server_and_settings();
      if (i == 1) return look_at_this_machine();
      look_at_repository_number(i - kOthers);
    });
    evidence_.machine.checks = std::move(checks_);
    for (const RepositoryEvidence& each : evidence_.repositories) add_proven(drills, each.drills);
    std::ranges::stable_sort(drills, {}, &DrillEvidence::time);
    evidence_.machine.drills = std::move(drills);
    evidence_.machine.knows_rare_drills = doctor && has_seen_all_repositories();
  }

 private:
  // To their end, and as they are: what is missing then is nowhere.
  bool has_seen_all_repositories() const {
    return wanted_.size() == config_.repositories.size() &&
           std::ranges::none_of(evidence_.repositories, [](const RepositoryEvidence& each) {
             return each.trouble || each.as_of;
           });
  }
  void look_at_server_and_settings() {
    const SharedSession::SetAtLast at_last(session_);
    LookAtServer server = look_at_server(config_, options_, limit_);
    evidence_.server = std::move(server.evidence);
    if (options_.depth == EvidenceDepth::kDoctor) {
      checks_ = checks_of(loaded_, server.session, limit_);
    }
    session_.set(std::move(server.session));
  }
  void look_at_this_machine() { evidence_.machine = look_at_machine(config_, options_, limit_); }
  void look_at_repository_number(std::size_t i) {
    evidence_.repositories[i] =
        look_at_repository({config_, *wanted_[i], options_, look_for_drills_}, session_, limit_);
  }

  const LoadedConfig& loaded_;
  const Config& config_;
  const EvidenceOptions& options_;
  Evidence& evidence_;
  const TimeLimit limit_;
  SharedSession session_;
  ProofsOfDrills look_for_drills_ = ProofsOfDrills::kPassOver;
  std::vector<const RepositoryConfig*> wanted_;
  std::vector<CheckFinding> checks_;
};

}  // namespace

Trouble trouble_of(const Error& error) {
  std::string message = error.message();
  if (!error.object().empty() && message.find(error.object()) == std::string::npos) {
    message += " (" + error.object() + ")";
  }
  return {error.kind(), redact_secrets(message), redact_secrets(error.hint())};
}

Trouble TimeLimit::too_late(ErrorKind kind) const {
  return {kind, fmt::format("{} {}", kNotSeenInTime, human_duration(at_most_)),
          "It hangs, or is very slow."};
}

void SharedSession::set(std::optional<Session> session) {
  const std::lock_guard lock(mutex_);
  if (set_) return;
  session_ = std::move(session);
  set_ = true;
  changed_.notify_all();
}

Evidence gather_evidence(const LoadedConfig& loaded, const EvidenceOptions& options,
                         const std::stop_token& stop) {
  const Config& config = loaded.config;
  find_repository(config, options.repository);  // there is one of this name
  Evidence evidence{.now = system_clock().now(), .cluster = config.cluster};
  Gathering(loaded, options, evidence, stop).run(stop);
  evidence.now = system_clock().now();
  return evidence;
}

}  // namespace holdfast
