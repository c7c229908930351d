#include "app/diagnosis.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "app/clock.h"
#include "app/diagnosis_parts.h"
#include "core/text.h"

namespace holdfast {
namespace {

void judge_clocks(const Diagnosing& diagnosing) {
  const Evidence& evidence = diagnosing.evidence;
  std::vector<ClockReading> readings;
  if (evidence.server.clock_ahead) {
    readings.push_back({"PostgreSQL", *evidence.server.clock_ahead});
  }
  for (const RepositoryEvidence& repository : evidence.repositories) {
    if (!repository.clock_ahead) continue;
    readings.push_back({"repository " + repository.name, *repository.clock_ahead});
  }
  const auto warning = clock_warning(readings);
  if (!warning) return;
  diagnosing.add({.code = "clock_skew",
                  .severity = ProblemSeverity::kCritical,
                  .title = "the clocks do not agree",
                  .evidence = {*warning},
                  .consequence = "Expiry refuses to work, S3 refuses requests beyond 15 minutes, "
                                 "and recovery to a time goes to another one than is meant.",
                  .remedy = "Let all machines follow the same time: 'chronyc tracking', "
                            "'timedatectl'. Then 'holdfast check'.",
                  .causes = {"retention_not_running", "backup_overdue"}});
}

bool is_about(const Finding& cause, const Finding& consequence) {
  return cause.repository.empty() || consequence.repository.empty() ||
         cause.repository == consequence.repository;
}

// The finding that explains this one; nullptr: none does.
Finding* cause_of(std::vector<Finding>& findings, const Finding& finding) {
  const auto found = std::ranges::find_if(findings, [&](const Finding& cause) {
    return &cause != &finding && is_about(cause, finding) &&
           std::ranges::find(cause.causes, finding.code) != cause.causes.end();
  });
  return found == findings.end() ? nullptr : &*found;
}

// Moves consequences below their root causes.
std::vector<Finding> only_causes(std::vector<Finding> findings) {
  std::vector<Finding> left;
  for (const Finding& finding : findings) {
    Finding* root = cause_of(findings, finding);
    // The codes that explain each other form no circle, so this ends; the bound is for tests.
    for (std::size_t i = 0; root != nullptr && i < findings.size(); ++i) {
      Finding* const above = cause_of(findings, *root);
      if (above == nullptr) break;
      root = above;
    }
    if (root == nullptr) continue;
    root->severity = std::max(root->severity, finding.severity);
    root->explains.push_back(finding.title);
  }
  for (const Finding& finding : findings) {
    if (cause_of(findings, finding) == nullptr) left.push_back(finding);
  }
  return left;
}

}  // namespace

std::string_view to_string(ProblemSeverity severity) {
  static constexpr std::array<std::string_view, 3> kNames{"notice", "warning", "critical"};
  return kNames.at(static_cast<std::size_t>(severity));
}

std::string ago(Timestamp now, Timestamp then) {
  if (then >= now) return "just now";
  return human_duration(now - then) + " ago";
}

std::vector<Finding> diagnose(const Config& config, const Evidence& evidence) {
  std::vector<Finding> findings;
  const Diagnosing diagnosing{config, evidence, findings};
  judge_clocks(diagnosing);
  for (const RepositoryEvidence& repository : evidence.repositories) {
    judge_repository(diagnosing, repository);
  }
  judge_server(diagnosing);
  judge_archiving(diagnosing);
  if (evidence.server.replay) judge_replay(diagnosing, *evidence.server.replay);
  for (const RepositoryEvidence& repository : evidence.repositories) {
    judge_backups(diagnosing, repository);
  }
  judge_machine(diagnosing);
  findings = only_causes(std::move(findings));
  std::ranges::stable_sort(findings, std::ranges::greater{}, &Finding::severity);
  return findings;
}

ProblemSeverity worst_of(const std::vector<Finding>& findings) {
  ProblemSeverity worst = ProblemSeverity::kNotice;
  for (const Finding& finding : findings) worst = std::max(worst, finding.severity);
  return worst;
}

WalRisk wal_risk(const Evidence& evidence) {
  // A shorter time says nothing about a rate.
  constexpr std::chrono::minutes kMeasurable{1};
  WalRisk risk;
  const auto& backlog = evidence.server.backlog;
  if (!backlog || !backlog->oldest) return risk;
  risk.age = std::max(evidence.now - *backlog->oldest, std::chrono::microseconds::zero());
  if (*risk.age < kMeasurable || backlog->bytes == 0) return risk;
  risk.bytes_per_second = static_cast<double>(backlog->bytes) / Seconds(*risk.age).count();
  risk.disk_full_in = Seconds(static_cast<double>(backlog->free_bytes) / *risk.bytes_per_second);
  return risk;
}

}  // namespace holdfast
