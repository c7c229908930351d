#include "app/recovery_report.h"

#include <fmt/format.h>

#include "app/copy_checks.h"
#include "app/objectives.h"
#include "core/text.h"
#include "core/time.h"
#include "system/files.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

std::string duration_between(const std::string& from, const std::string& to) {
  const auto began = parse_rfc3339(from);
  const auto ended = parse_rfc3339(to);
  return began && ended ? human_duration(*ended - *began) : "";
}

ReportSection what_it_is(const RecoveryRecord& record) {
  ReportSection section{.title = "Recovery " + record.name};
  section.facts = {{"Cluster", record.cluster},
                   {"Began", record.began},
                   {"Repository", repository_fact(record.repository, record.as_of)},
                   {"Backup", record.backup},
                   {"Target", to_string(record.target)},
                   {"PostgreSQL", std::to_string(record.major_version)}};
  if (!record.steps.empty() && !record.steps.back().ended.empty()) {
    section.facts.emplace_back("Took", duration_between(record.began, record.steps.back().ended));
  }
  return section;
}

ReportSection steps_of(const RecoveryRecord& record) {
  ReportSection section{.title = "Steps",
                        .head = {"Step", "Result", "Began", "Took", "By", "Host", "Detail"}};
  for (const RecoveryStep& step : record.steps) {
    section.rows.push_back({step.name, std::string(to_string(step.result)), step.began,
                            duration_between(step.began, step.ended), step.by, step.host,
                            step.detail});
  }
  return section;
}

ReportSection checks_of(const RecoveryVerdict& verdict) {
  ReportSection section{.title = "Checks", .head = {"Check", "Result", "Detail"}};
  section.facts = {{"Verdict", std::string(to_string(verdict_of(verdict.checks)))},
                   {"Checked", verdict.time},
                   {"At", verdict.at},
                   {"By", verdict.by}};
  for (const CheckResult& check : verdict.checks) {
    section.rows.push_back({check.name, std::string(to_string(check.verdict)), check.detail});
  }
  return section;
}

ReportSection approvals_of(const RecoveryRecord& record) {
  ReportSection section{.title = "Approvals", .head = {"By", "When", "Recorded by"}};
  for (const RecoveryApproval& approval : record.approvals) {
    section.rows.push_back({approval.by, approval.time, approval.host});
  }
  return section;
}

ReportSection promotion_of(const RecoveryPromotion& promotion) {
  ReportSection section{.title = "Promotion"};
  section.facts = {{"Place", promotion.place.string()}};
  if (!promotion.backup.empty()) {
    section.facts.emplace_back("Backup of what was replaced", promotion.backup);
  }
  if (!promotion.lost.empty()) section.facts.emplace_back("Lost", promotion.lost);
  if (!promotion.aside.empty()) {
    section.facts.emplace_back("Replaced directory", promotion.aside.string());
  }
  for (const RecoveryStandby& standby : promotion.standbys) {
    section.facts.emplace_back(
        "Standby", fmt::format("{}, port {}{}", standby.data_directory.string(), standby.port,
                               standby.dropped ? ", no longer asked for" : ""));
  }
  for (const std::string& file : promotion.differing) {
    section.facts.emplace_back("Differs from the replaced one", file);
  }
  return section;
}

}  // namespace

Report recovery_report(const RecoveryRecord& record) {
  Report sections{what_it_is(record), objectives_section(measured_objectives(record))};
  if (record.verdict) sections.push_back(checks_of(*record.verdict));
  if (!record.approvals.empty()) sections.push_back(approvals_of(record));
  if (record.promotion) sections.push_back(promotion_of(*record.promotion));
  sections.push_back(steps_of(record));
  return sections;
}

std::string told_of_promotion(const RecoveryRecord& record) {
  const RecoveryPromotion& promotion = *record.promotion;
  if (record.is_being_rolled_back()) {
    return fmt::format(
        "recovery {} was taken back: the replaced server is in {} again, the copy in {}",
        record.name, promotion.place.string(), record.data_directory().string());
  }
  return fmt::format("recovery {}: the copy of backup {} to {} is in {}, what it replaced {}",
                     record.name, record.backup, to_string(record.target), promotion.place.string(),
                     promotion.aside.empty() ? "is lost" : "in " + promotion.aside.string());
}

std::vector<fs::path> write_recovery_reports(const RecoveryStore& store,
                                             const RecoveryRecord& record) {
  const fs::path stem = store.report_stem(record);
  make_folders(stem.parent_path(), 0700);
  store.give_to_owner(stem.parent_path());
  const auto reports = write_report(stem, recovery_report(record));
  for (const fs::path& report : reports) store.give_to_owner(report);
  return reports;
}

}  // namespace holdfast
