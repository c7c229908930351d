#include "cli/recovery_views.h"

#include <fmt/format.h>

#include "app/copy_checks.h"
#include "app/objectives.h"
#include "cli/render.h"
#include "core/text.h"

namespace holdfast::cli {
namespace {

using State = RecoveryView::State;

Json optional_text(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

Json steps_json(const RecoveryRecord& record) {
  Json steps = Json::array();
  for (const RecoveryStep& step : record.steps) {
    steps.push_back({{"name", step.name},
                     {"began", step.began},
                     {"ended", optional_text(step.ended)},
                     {"result", holdfast::to_string(step.result)},
                     {"detail", step.detail},
                     {"by", step.by},
                     {"host", step.host}});
  }
  return steps;
}

Json objectives_json(const RecoveryRecord& record) {
  Json objectives = Json::array();
  for (const MeasuredObjective& one : measured_objectives(record)) {
    objectives.push_back(
        {{"name", one.name},
         {"wanted_seconds", one.wanted.count() == 0 ? Json() : Json(Seconds(one.wanted).count())},
         {"measured_seconds", one.measured ? Json(Seconds(*one.measured).count()) : Json()},
         {"result", one.result()}});
  }
  return objectives;
}

std::string objectives_text(const RecoveryRecord& record) {
  std::string text;
  for (const MeasuredObjective& one : measured_objectives(record)) {
    if (one.wanted.count() == 0 || !one.measured) continue;
    text += fmt::format("  {}: {}; the objective is {}: {}\n", one.name,
                        human_duration(*one.measured), human_duration(one.wanted), one.result());
  }
  return text;
}

Colour colour_of_state(State state) {
  if (state == State::kPaused) return Colour::kGreen;
  if (state == State::kFailed || state == State::kInterrupted) return Colour::kRed;
  return Colour::kYellow;
}

std::string verdict_text(const RecoveryVerdict& verdict, const Style& style) {
  const std::string word(holdfast::to_string(verdict_of(verdict.checks)));
  std::string text = fmt::format("Checked {} at {}: {}.\n", verdict.time, verdict.at,
                                 style.paint(verdict.passed ? Colour::kGreen : Colour::kRed, word));
  Table table({{"CHECK"}, {"RESULT"}, {"DETAIL"}});
  for (const CheckResult& check : verdict.checks) {
    using Verdict = CheckResult::Verdict;
    const Colour colour = check.verdict == Verdict::kFailed    ? Colour::kRed
                          : check.verdict == Verdict::kSkipped ? Colour::kYellow
                                                               : Colour::kNone;
    table.add_row(
        {check.name, Cell(std::string(holdfast::to_string(check.verdict)), colour), check.detail});
  }
  return text + table.render(style);
}

Json approvals_json(const RecoveryRecord& record) {
  Json approvals = Json::array();
  for (const RecoveryApproval& approval : record.approvals) {
    approvals.push_back({{"by", approval.by}, {"time", approval.time}});
  }
  return approvals;
}

Json promotion_json(const RecoveryRecord& record) {
  if (!record.promotion) return {};
  const RecoveryPromotion& promotion = *record.promotion;
  Json standbys = Json::array();
  for (const RecoveryStandby& standby : promotion.standbys) {
    standbys.push_back({{"data_directory", standby.data_directory.string()},
                        {"port", standby.port},
                        {"set_aside", optional_text(standby.aside.string())},
                        {"dropped", standby.dropped}});
  }
  return {{"place", promotion.place.string()},
          {"replaced_directory", optional_text(promotion.aside.string())},
          {"backup_of_replaced", optional_text(promotion.backup)},
          {"lost", optional_text(promotion.lost)},
          {"differing_files", promotion.differing},
          {"standbys", std::move(standbys)}};
}

std::string promotion_text(const RecoveryPromotion& promotion) {
  std::string text = fmt::format("  place   {}\n", promotion.place.string());
  if (!promotion.aside.empty()) {
    text += fmt::format("  aside   {}\n", promotion.aside.string());
  }
  for (const RecoveryStandby& standby : promotion.standbys) {
    text += fmt::format("  standby {}, port {}{}\n", standby.data_directory.string(), standby.port,
                        standby.dropped ? ", no longer asked for" : "");
  }
  for (const std::string& file : promotion.differing) {
    text += fmt::format("  differs {}: it is as it was in the backup\n", file);
  }
  return text;
}

}  // namespace

Json json_of(const RecoveryView& view) {
  const RecoveryRecord& record = view.record;
  Json json;
  json["name"] = record.name;
  json["state"] = holdfast::to_string(view.state);
  json["began"] = record.began;
  json["repository"] = record.repository;
  json["as_of"] = optional_text(record.as_of);
  json["backup"] = record.backup;
  json["target"] = holdfast::to_string(record.target);
  json["target_lsn"] = holdfast::to_string(record.to);
  json["folder"] = record.folder.string();
  json["data_directory"] = record.data_directory().string();
  json["replayed_lsn"] =
      view.position ? Json(holdfast::to_string(view.position->replayed)) : Json();
  json["last_transaction"] = view.position && view.position->last_transaction
                                 ? Json(to_rfc3339(*view.position->last_transaction))
                                 : Json();
  json["objectives"] = objectives_json(record);
  json["steps"] = steps_json(record);
  json["verdict"] = record.verdict ? holdfast::json_of(*record.verdict) : Json();
  json["approvals"] = approvals_json(record);
  json["promotion"] = promotion_json(record);
  json["next"] = view.next;
  return json;
}

std::string text_of(const RecoveryView& view, const Style& style) {
  const RecoveryRecord& record = view.record;
  std::string text = fmt::format(
      "Recovery {}: {}\n  backup  {}\n  target  {}\n  copy    {}\n", record.name,
      style.paint(colour_of_state(view.state), std::string(holdfast::to_string(view.state))),
      record.backup, holdfast::to_string(record.target), record.data_directory().string());
  if (!record.as_of.empty()) {
    text += fmt::format("  from    {} as of {}\n", record.repository, record.as_of);
  }
  if (view.position) {
    text += fmt::format("  stands  at {}{}\n", holdfast::to_string(view.position->replayed),
                        view.position->last_transaction
                            ? ", last transaction " + to_rfc3339(*view.position->last_transaction)
                            : "");
  }
  for (const RecoveryApproval& approval : record.approvals) {
    text += fmt::format("  approved by {}, {}\n", approval.by, approval.time);
  }
  text += objectives_text(record);
  if (record.promotion) text += promotion_text(*record.promotion);
  Table table({{"STEP"}, {"RESULT"}, {"BEGAN"}, {"ENDED"}, {"BY"}, {"DETAIL"}});
  for (const RecoveryStep& step : record.steps) {
    table.add_row({step.name, Cell(std::string(holdfast::to_string(step.result))), step.began,
                   step.ended, step.by, step.detail});
  }
  text += table.render(style);
  if (record.verdict) text += verdict_text(*record.verdict, style);
  return text + fmt::format("Next: {}\n", view.next);
}

CommandResult result_of(const RecoveryView& view, const CommandContext& context) {
  return {.json = json_of(view), .text = text_of(view, context.style())};
}

}  // namespace holdfast::cli
