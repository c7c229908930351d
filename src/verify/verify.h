#pragma once
// Verifies backups: reads and authenticates every object that they need.
//
// What it reads, by mode:
//   kQuick  descriptor, key slots, history, begin and outcome records, manifest; of packs only that
//           a listing shows them with the size that the manifest says; that the archived WAL that
//           the backup needs is there.
//   kFull   the same, every byte of every pack, of every proof and of that WAL; and that every
//           chunk that the manifest names is there.
//   kDeep   the same, then every chunk again: decompressed, every block compared with its keyed
//           hash, page checksums, page headers of the WAL that the backup carries or needs.
// Damage is collected, never thrown: VerifyResult::findings. What says nothing about stored bytes
//   (the store fails, the user interrupts) is thrown as it is.
// A backup whose commit record cannot be read is a finding; so is a manifest without commit record.
// Memory: packs are read whole, one per thread, within half of `memory_bytes`; tables of chunks are
//   kept for so many packs at a time as fit, with a walk over the manifest for each such round.
// Proof: stored beside each verified backup (repository/proof.h); where that fails, a warning.

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "core/progress.h"
#include "repository/catalogue.h"
#include "verify/content_check.h"
#include "verify/findings.h"

namespace holdfast {

enum class VerifyMode { kQuick, kFull, kDeep };
std::string_view to_string(VerifyMode mode);  // as in proofs

struct VerifyOptions {
  VerifyMode mode = VerifyMode::kFull;
  std::string cluster;
  std::size_t jobs = 1;
  std::uint64_t memory_bytes = std::uint64_t{256} << 20U;
  std::string host, holdfast_version;  // for the proof
};

struct VerifiedBackup {
  BackupName name;
  BackupState state = BackupState::kCommitted;
  std::uint64_t objects = 0;          // looked at
  std::uint64_t bytes = 0;            // of its manifest and packs
  std::uint64_t damaged_objects = 0;  // among them
  PageCounts pages;                   // kDeep only
  std::uint32_t proof = 0;            // number of the proof; 0: none was stored
};

struct VerifyResult {
  VerifyMode mode = VerifyMode::kFull;
  std::vector<VerifiedBackup> backups;
  std::uint64_t objects = 0, bytes = 0;
  std::uint64_t damaged_objects = 0;
  std::vector<VerifyFinding> findings;  // at most kMaxFindings
  std::vector<std::string> warnings;
  double duration_seconds = 0;
};

// Of unfinished and aborted entries only the records are verified.
VerifyResult verify_backups(const Repository& repository,
                            const std::vector<CatalogueEntry>& backups,
                            const VerifyOptions& options, Progress& progress,
                            const std::stop_token& stop);

}  // namespace holdfast
