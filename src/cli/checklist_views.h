#pragma once
// The forms of `checklist`: text, Markdown for a page, JSON (docs/json.md). Pure.

#include <string>
#include <vector>

#include "app/checklist.h"
#include "cli/command.h"

namespace holdfast::cli {

struct AnsweredList {
  std::string cluster;
  Timestamp time = {};
  std::vector<ChecklistLine> lines;
  std::size_t count(ChecklistLine::Answer answer) const;
};

Json checklist_json(const AnsweredList& list);
std::string checklist_text(const AnsweredList& list, const Style& style);
std::string checklist_markdown(const AnsweredList& list);

}  // namespace holdfast::cli
