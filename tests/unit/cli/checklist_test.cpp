// The forms of `checklist` (docs/json.md).
#include <gtest/gtest.h>

#include "cli/checklist_views.h"

namespace holdfast::cli {
namespace {

using Answer = ChecklistLine::Answer;

AnsweredList some_list() {
  const Timestamp time{std::chrono::sys_days{std::chrono::year{2026} / 3 / 10}};
  return {
      .cluster = "demo_1",
      .time = time,
      .lines = {{.code = "team",
                 .question = "Trained?",
                 .answer = Answer::kYes,
                 .because = "A. confirmed it",
                 .attested = Attestation{"team", "A.", "course", "2026-01-01T00:00:00Z", "db1"}},
                {.code = "three_days",
                 .question = "Three days?",
                 .answer = Answer::kNo,
                 .because = "1 *day*",
                 .remedy = "Wait."},
                {.code = "runbook",
                 .question = "Runbook?",
                 .answer = Answer::kNotKnown,
                 .because = "no evidence",
                 .remedy = "Confirm."}}};
}

TEST(ChecklistJson, of_each_answer) {
  EXPECT_EQ(checklist_json(some_list()), Json::parse(R"({
    "cluster": "demo_1", "time": "2026-03-10T00:00:00Z", "failed": 1, "not_known": 1,
    "lines": [
      {"code": "team", "question": "Trained?", "answer": "yes", "because": "A. confirmed it",
       "remedy": "", "attested": {"by": "A.", "note": "course", "time": "2026-01-01T00:00:00Z",
                                  "host": "db1"}},
      {"code": "three_days", "question": "Three days?", "answer": "no", "because": "1 *day*",
       "remedy": "Wait.", "attested": null},
      {"code": "runbook", "question": "Runbook?", "answer": "not known", "because": "no evidence",
       "remedy": "Confirm.", "attested": null}]})"));
}

TEST(ChecklistText, says_what_is_missing) {
  EXPECT_EQ(checklist_text(some_list(), Style()),
            "yes        Trained?\n"
            "           A. confirmed it\n"
            "no         Three days?\n"
            "           1 *day*\n"
            "           Wait.\n"
            "not known  Runbook?\n"
            "           no evidence\n"
            "           Confirm.\n"
            "Not ready: 1 of 3 lines answered with no, 1 not known.\n");
}

TEST(ChecklistMarkdown, is_a_list_with_boxes) {
  EXPECT_EQ(checklist_markdown(some_list()),
            "# Readiness of demo\\_1\n\n"
            "2026-03-10T00:00:00Z: Not ready: 1 of 3 lines answered with no, 1 not known.\n\n"
            "- [x] Trained?  \n"
            "  A. confirmed it\n"
            "- [ ] Three days?: **no**  \n"
            "  1 \\*day\\*  \n"
            "  Wait.\n"
            "- [ ] Runbook?: **not known**  \n"
            "  no evidence  \n"
            "  Confirm.\n");
}

}  // namespace
}  // namespace holdfast::cli
