#pragma once
// Proofs: what a verification or a drill found, stored beside the backup that it looked at as
// <backup>/proof/NNNN. Create-only and numbered; the highest number is the last one.

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "repository/names.h"
#include "repository/repository.h"

namespace holdfast {

// A proof names at most this many damaged objects; the count is complete.
inline constexpr std::size_t kMaxProofObjects = 20;

struct ProofRecord {
  std::uint32_t number = 0;
  std::string time;  // RFC 3339, by the clock of `host`
  std::string mode;  // "quick", "full", "deep" or "drill"
  bool ok = false;
  std::uint64_t objects = 0;  // looked at
  std::uint64_t bytes = 0;    // read; with "quick": what the listing said
  std::uint64_t damaged_objects = 0;
  std::vector<std::string> damaged;  // the first of them
  double duration_seconds = 0;
  // Of a drill that could measure it: how much time the newest that came back lies before the
  // target.
  std::optional<double> recovery_point_seconds = {};
  std::string host, holdfast_version;
};

// Stores `proof` under the next free number, which it returns.
std::uint32_t write_proof(const Repository& repository, const BackupName& backup, ProofRecord proof,
                          const std::stop_token& stop);
std::vector<std::uint32_t> list_proofs(const Repository& repository, const BackupName& backup,
                                       const std::stop_token& stop);
// Missing or damaged is kDamage.
ProofRecord read_proof(const Repository& repository, const BackupName& backup, std::uint32_t number,
                       const std::stop_token& stop);
// The last one, for people: one that cannot be read has the mode "unreadable".
std::optional<ProofRecord> last_proof(const Repository& repository, const BackupName& backup,
                                      const std::stop_token& stop);
ProofRecord parse_proof_record(ByteView json, std::string_view name);

}  // namespace holdfast
