#pragma once
// Copies a committed backup from one repository to another, without PostgreSQL and without
// decompressing any data.
//
// Two forms:
//   kPlain       the same backup under the same id: packs keep their names, offsets and salts, so
//                that later backups share them there as here. Packs of older backups that it cites
//                are copied to the same names. Where it does not carry its WAL, the archived WAL
//                from its start to its stop is copied too, before it is committed (invariant 2)
//   kStandalone  under the same id too, but it depends on no other: packs that it cites elsewhere
//                are copied into its own folder, its maps are written anew for that, and it
//                carries the WAL for its own consistency. For archives that outlive everything else
//   A backup that depends on nothing else, and carries its WAL, is the same in both forms.
// A copy keeps the hash key of the repository that the backup was taken in, in its manifest
// (docs/decisions/0015): hashes of pages are not made anew, since nothing is decompressed.
//
// Order, in the target: histories, begin record, intents on the folders of other backups whose
//   packs it will cite (repository/intent.h), then the question whether one of these is going to be
//   deleted: if so, the copy becomes a standalone one; so it does when WAL that it needs is marked
//   to expire there (repository/wal_mark.h). Then packs, WAL, manifest, and at last, when the
//   manifest was read back and every pack seen with its size, the commit record.
// Consistency: before the commit record nothing is listed. Every pack is authenticated while it is
//   read; damage is kDamage and names the object, and nothing is committed. What lies in the target
//   already under a pack's name is believed when size, repository, kind and salt are the pack's,
//   and is not believed to be anything else: other content is kRefused.
// Crashes, cancellation: the next copy of this backup goes on where this one stopped, also between
//   manifest and commit record. Several at once do no harm: they write the same bytes, or settle by
//   create-only objects which of them wrote the manifest.
// Memory: `memory_bytes`; a pack for each job, and what is written for the maps of a standalone
// one. Errors: kDamage and the like of the source; kRefused when the target has other histories,
// when
//   the backup was given up or deleted there, or when a name is taken; those of the stores.
// Threads: one copy at a time for each call; calls do not share anything.

#include <cstdint>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/progress.h"
#include "repository/catalogue.h"

namespace holdfast {

enum class CopyForm { kPlain, kStandalone };
std::string_view to_string(CopyForm form);  // "plain", as in the JSON form

// kNeeded: what the backup needs to be consistent. kOnward: also everything that was archived
// behind its start, on its timeline and those that left it, in its history and those that came of
// it. An archive that goes on grows: what comes later is for the next copy.
enum class CopiedWal { kNeeded, kOnward };

// Whether objects that were just stored can be read at once; not so in a frozen storage class,
// where only the catalogue can.
enum class ReadBack { kYes, kNo };

struct CopySides {
  const Repository& from;
  const Repository& to;
};

struct CopyOptions {
  CopyForm form = CopyForm::kPlain;
  CopiedWal wal = CopiedWal::kNeeded;
  ReadBack read_back = ReadBack::kYes;
  std::string from_name;  // of the source in the configuration, for the record
  std::string host;
  std::size_t jobs = 1;
  std::uint64_t memory_bytes = std::uint64_t{256} << 20U;
};

struct CopiedBackup {
  enum class State {
    kCopied,        // by this call, from wherever it stood before
    kThereAlready,  // complete before this call
  };
  BackupName name;
  State state = State::kCopied;
  CopyForm form = CopyForm::kPlain;  // that it has in the target
  std::uint64_t packs_copied = 0, packs_there = 0;
  std::uint64_t bytes_copied = 0;               // of packs
  std::uint64_t wal_copied = 0, wal_there = 0;  // files
  std::vector<std::string> warnings;
};
std::string_view to_string(CopiedBackup::State state);  // "copied", "there already"

// Why the target never takes this backup again: an earlier copy of it was given up there, or it was
// deleted.
std::optional<Error> never_again(const Repository& target, const BackupName& backup,
                                 const std::stop_token& stop);

// `backup`: a committed one of the source.
CopiedBackup copy_backup(const CopySides& sides, const CatalogueEntry& backup,
                         const CopyOptions& options, Progress& progress,
                         const std::stop_token& stop);

// What copy_backup() would do, each as if it alone were copied; writes nothing, and looks at the
// names of WAL only. `counted`: of the plans of several backups, empty for the first.
struct CountedTimeline {
  // The numbers of their segments, in order; of the timeline's history, the highest there is.
  std::vector<std::uint64_t> missing, there;
};
using CountedWal = std::map<std::string, CountedTimeline>;  // by the prefix of their names
struct CopyPlan {
  BackupName name;
  CopiedBackup::State state = CopiedBackup::State::kCopied;
  CopyForm form = CopyForm::kPlain;
  std::uint64_t packs_missing = 0, bytes_missing = 0, packs_there = 0;
  std::uint64_t wal_missing = 0, wal_there = 0;  // files
  std::vector<std::string> warnings;
};
CopyPlan plan_copy(const CopySides& sides, const CatalogueEntry& backup, const CopyOptions& options,
                   CountedWal& counted, const std::stop_token& stop);

}  // namespace holdfast
