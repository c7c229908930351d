#pragma once
// Brings back what was removed from a bucket with versioning (storage/versioning.h) since a time.
//
// Of the repository's descriptor, its key slots and one cluster, every object that was there then
// and is not there now, or has other content now, comes back: delete markers over it are removed;
// where that is not allowed, or something else was written over it, its old version is copied over
// it. Nothing is lost by that: what it covers stays as an older version.
// So that what comes back is not removed again by the next `expire`, the records that say it goes
// (tombstones and marks of WAL) and are younger than the time are hidden: removed as every object
// is, behind a delete marker. Key generations that were retired since then stay away while a later
// one is there that counts: as it was then, or younger and opened by `key`. A younger one that
// cannot be read is hidden; one that `key` does not open is a failure, because the highest counts
// and nobody here knows whose it is.
// Order: packs, maps, WAL and records first; then the tombstones go; then the commit records come,
// so that what is half brought back is not a backup; then the begin records, without which nobody
// sweeps what has no commit record yet. What failed ends it before the next step. Interruptible at
// any moment, and to be done again: what is there already is skipped. No `backup` and no `expire`
// may run meanwhile; a commit record that is not the wanted one afterwards is a failure.
// Errors: of the store; kUsage where it keeps no versions. What could not be brought back is
// counted, not thrown. Threads: one call at a time. Memory: one page of a listing and the names of
// the records that are dealt with last.

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "seal/key_slot.h"
#include "storage/object_store.h"

namespace holdfast {

struct UndeleteOptions {
  enum class Act { kLook, kBringBack };
  std::string cluster;
  Timestamp as_of;
  Act act = Act::kLook;
  // Tells key slots of this repository from others; none: those that can be read are believed.
  std::optional<KeySource> key = {};
};

struct Undeleted {
  std::uint64_t objects = 0, bytes = 0;  // that come or came back
  std::uint64_t copied_objects = 0;      // of them: by copying, not by removing a delete marker
  std::uint64_t hidden_records = 0;      // tombstones, marks of WAL, bad key slots; all younger
  std::uint64_t failed_objects = 0;
  std::string failed_example;
  std::vector<std::string> backups;       // ids of those whose commit record comes or came back
  std::vector<std::string> younger_keys;  // generations of key slots that stay, and count
};

Undeleted undelete(ObjectStore& store, const UndeleteOptions& options, const std::stop_token& stop);

}  // namespace holdfast
