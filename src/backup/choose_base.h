#pragma once
// Chooses the backup that an incremental one builds on, and how the changes since then are told.
//
// Any committed backup whose block hashes were made under this repository's key may be built on:
// where changes are told by comparing, a block stays only if its hash is as it was. Changes may be
// told by WAL only if the parent lies on the server's own line: in the same line of histories, on a
// timeline of the server's, with its stop at or before the fork and this backup's start, under the
// same checksum settings, and if WAL proves all of the way from its start to this start. Its own
// WAL must have been compared with the archive (so a standalone parent will not do), and what
// pg_wal still has of the newest archived segments must be the same there: a server that was set
// back to before the parent, and has the same timeline and higher positions again, is not on its
// line. Pages that the parent found damaged or torn are read again whatever WAL says.
//
// Consistency: before the parent's manifest is read, an intent is written and the parent looked up
//   for a tombstone (repository/intent.h), so that expiry cannot take packs from under this backup.
// Errors: those of the store. A parent that is damaged, was found damaged by `verify`, or is going
//   to be deleted is passed over with a warning; the next older one is taken.

#include <chrono>
#include <filesystem>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "backup/base.h"
#include "core/wal_position.h"
#include "repository/catalogue.h"
#include "repository/chunk_reader.h"

namespace holdfast {

struct BaseWanted {
  BackupName child;
  TimelineId timeline;
  Lsn start;
  Timestamp start_time;
  bool data_checksums = false;
  std::uint32_t relation_segment_blocks = 131072;
  int postgres_version_num = 0;
  std::filesystem::path wal_directory;
  std::chrono::milliseconds refresh{};  // 0: never
  bool reread = false;                  // compare everything, whatever WAL proves
  std::size_t threads = 8;
  std::set<SegmentName>* known_same = nullptr;  // as in repository/wal_compare.h
};

struct ChosenBase {
  IncrementalFacts facts;  // without the counts
  std::vector<std::string> warnings;
  std::unique_ptr<Manifest> manifest;  // none: there is nothing to build on; full
  std::unique_ptr<ChangedBlocks> changes;
  std::unique_ptr<Base> base;  // points into the others
};

// `backups`: all of the cluster, oldest first. `chunks` outlives the result.
ChosenBase choose_base(const Repository& repository, const std::vector<CatalogueEntry>& backups,
                       const BaseWanted& wanted, ChunkReader& chunks, const std::stop_token& stop);

// Packs of the parent that are due: those older than `refresh`, and of the others so many of the
// oldest that, whatever moment one takes, what was written since is as large a part of all as the
// time since is of `refresh`. In whole packs: what is less than one is carried to the next backup.
PackSet packs_due(const ManifestRoot& parent, const PackRegistry& registry, Timestamp now,
                  std::chrono::milliseconds refresh);

}  // namespace holdfast
