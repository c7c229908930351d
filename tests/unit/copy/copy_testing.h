#pragma once
// What the tests of copies share: a backup and one that builds on it, in memory, and a deep
// verification of what a copy has become.

#include <gtest/gtest.h>

#include "copy/copy.h"
#include "unit/repository/repository_testing.h"
#include "verify/verify.h"

namespace holdfast::test {

inline const BackupName kParent = backup_name("20260101T000000Z-0001");
inline const BackupName kChild = backup_name("20260102T000000Z-0002");
inline constexpr std::uint64_t kBigBytes = std::uint64_t{72} << 20U;  // two slices

inline void write_parent(const Repository& repository) {
  write_backup(repository,
               {{"base/1/big", kBigBytes, numbered_content},
                {"base/1/small", 3000, numbered_content},
                {"base/1/zeros", 100000},
                {"global/empty", 0}},
               {.name = kParent});
}

inline CatalogueEntry entry_of(const Repository& repository, const BackupName& name) {
  for (const CatalogueEntry& entry : list_backups(repository, name.cluster, kNoStop)) {
    if (entry.name == name) return entry;
  }
  ADD_FAILURE() << "no backup " << name.id.text;
  return {};
}

// A backup with everything that the parent has, taken over by reference, and one more file.
inline void write_child(const Repository& repository) {
  const auto other_content = [](std::uint64_t offset, std::size_t length) {
    return numbered_content((std::uint64_t{1} << 30U) + offset, length);
  };
  write_backup(repository, {{"global/later", 8192, other_content}},
               {.name = kChild, .on = kParent});
}

inline CopiedBackup copy_one(const Repository& from, const Repository& to, const BackupName& name,
                             CopyOptions options = {}) {
  options.from_name = "source";
  options.host = "test";
  options.jobs = 2;
  return copy_backup({.from = from, .to = to}, entry_of(from, name), options, null_progress(),
                     kNoStop);
}

inline CopyPlan plan_of(const Repository& from, const Repository& to, const BackupName& name,
                        const CopyOptions& options = {}) {
  CountedWal counted;
  return plan_copy({.from = from, .to = to}, entry_of(from, name), options, counted, kNoStop);
}

// Every byte read, decompressed and compared with its hash: what is wrong, one line each.
inline std::vector<std::string> complaints(const Repository& repository, const BackupName& name) {
  const VerifyResult found = verify_backups(
      repository, {entry_of(repository, name)},
      {.mode = VerifyMode::kDeep, .cluster = "demo", .host = "test"}, null_progress(), kNoStop);
  std::vector<std::string> lines = found.warnings;
  for (const VerifyFinding& finding : found.findings) {
    lines.push_back(finding.object + ": " + finding.problem);
  }
  EXPECT_GT(found.bytes, 0U);
  return lines;
}

inline const std::vector<std::string> kNoComplaints;

inline ManifestRoot root_of(const Repository& repository, const BackupName& name) {
  PackRegistry registry;
  return read_manifest(repository, entry_of(repository, name).outcome, registry, kNoStop);
}

}  // namespace holdfast::test
