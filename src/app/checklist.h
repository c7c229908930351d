#pragma once
// The readiness list: may this set-up be relied on? Each line is answered from evidence
// (app/evidence.h). What no evidence can tell, whether people were trained, say, is "not known"
// until somebody confirms it, and then for a year.
//
// Confirmations: <state directory>/attestations/<line>.json, the last one of a line; replaced whole
//   and durably.
// Errors: kUsage for a line that cannot be confirmed; kHost; kCancelled. Threads: any; plain data.

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "app/config.h"
#include "app/diagnosis.h"
#include "app/evidence.h"
#include "app/keys.h"

namespace holdfast {

struct Attestation {
  std::string line, by, note;
  std::string time;  // RFC 3339
  std::string host;
};

struct ChecklistLine {
  enum class Answer { kYes, kNo, kNotKnown };
  std::string code;  // stable: "three_days"
  std::string question;
  Answer answer = Answer::kNotKnown;
  std::string because = {};                  // the evidence
  std::string remedy = {};                   // unless the answer is yes
  std::optional<Attestation> attested = {};  // that the answer rests on
};
std::string_view to_string(ChecklistLine::Answer answer);  // "yes", "no", "not known"

struct ChecklistEvidence {
  Evidence evidence;
  std::vector<Finding> findings;
  std::vector<KeyList> keys;  // of the encrypted repositories that could be opened
  std::vector<Attestation> attestations;
};

inline constexpr std::chrono::days kAttestationHolds{365};
inline constexpr std::chrono::days kDrillCounts{92};  // for what is to be done each quarter

ChecklistEvidence gather_checklist(const LoadedConfig& loaded, const std::stop_token& stop);
// Pure.
std::vector<ChecklistLine> answer_checklist(const Config& config,
                                            const ChecklistEvidence& evidence);

struct AttestRequest {
  std::string line, by, note;
};
Attestation attest(const Config& config, const AttestRequest& request);

}  // namespace holdfast
