#pragma once
// Verifies one committed backup; see verify.h for what that means.

#include <map>
#include <set>
#include <stop_token>

#include "verify/verify.h"

namespace holdfast {

class BackupCheck {
 public:
  BackupCheck(const Repository& repository, const CatalogueEntry& backup,
              const VerifyOptions& options, Findings& findings, Progress& progress,
              const std::stop_token& stop);

  // Adds what was looked at to `verified`, warnings to `warnings`.
  void run(VerifiedBackup& verified, std::vector<std::string>& warnings);

 private:
  void check_sizes(const ManifestRoot& root);
  void check_packs(Manifest& manifest);
  std::size_t check_round(Manifest& manifest, std::size_t first);
  void check_deep(Manifest& manifest, VerifiedBackup& verified, std::vector<std::string>& warnings);
  void check_wal(Manifest& manifest, std::vector<std::string>& warnings);
  void check_segment(Manifest& manifest, const FileEntry& file, SegmentName name);
  std::size_t pack_threads(const ManifestRoot& root) const;
  std::size_t chunk_threads() const;

  const Repository& repository_;
  const CatalogueEntry& backup_;
  const VerifyOptions& options_;
  Findings& findings_;
  Progress& progress_;
  const std::stop_token& stop_;
  ChunkReader chunks_;
  std::set<PackIndex> cited_;
};

}  // namespace holdfast
