#pragma once
// The parts of diagnose(). Internal to app/diagnosis.cpp and its neighbours. Each adds what it
// finds.

#include <string>
#include <vector>

#include "app/diagnosis.h"

namespace holdfast {

struct Diagnosing {
  const Config& config;
  const Evidence& evidence;
  std::vector<Finding>& findings;
  void add(Finding finding) const { findings.push_back(std::move(finding)); }
};

void judge_server(const Diagnosing& diagnosing);
void judge_archiving(const Diagnosing& diagnosing);
void judge_replay(const Diagnosing& diagnosing, const ReplayEvidence& replay);
void judge_repository(const Diagnosing& diagnosing, const RepositoryEvidence& repository);
void judge_backups(const Diagnosing& diagnosing, const RepositoryEvidence& repository);
void judge_machine(const Diagnosing& diagnosing);

std::string ago(Timestamp now, Timestamp then);  // "3 h 2 min ago"

}  // namespace holdfast
