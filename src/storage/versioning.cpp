#include "storage/versioning.h"

namespace holdfast {

VersioningState versioning_state(ObjectStore& store, const std::stop_token& stop) {
  auto* versioned = dynamic_cast<Versioning*>(&store);
  return versioned == nullptr ? VersioningState::kNone : versioned->versioning_state(stop);
}

std::string_view to_string(VersioningState state) {
  switch (state) {
    case VersioningState::kNone:
      break;
    case VersioningState::kEnabled:
      return "enabled";
    case VersioningState::kSuspended:
      return "suspended";
    case VersioningState::kUnknown:
      return "unknown";
  }
  return "none";
}

Versioning& require_versioning(ObjectStore& store) {
  if (auto* versioned = dynamic_cast<Versioning*>(&store)) return *versioned;
  throw Error(
      ErrorKind::kUsage, "a folder keeps no older versions of its objects",
      {.object = store.describe(),
       .hint = "Only a bucket with versioning can be seen as it was. Look for the backup in "
               "another repository."});
}

Error no_versions(const std::string& where) {
  return Error(ErrorKind::kUsage,
               "the bucket has no versioning, so it keeps no older versions of its objects",
               {.object = where,
                .hint = "Look for the backup in another repository, and switch versioning on for "
                        "the next time: docs/versioned-buckets.md."});
}

const ObjectVersion* version_as_of(const VersionsOfName& name, Timestamp time) {
  const ObjectVersion* newest = nullptr;
  for (const ObjectVersion& version : name.versions) {
    if (version.modified > time) continue;
    // Of two with one time the server names the newer one first.
    if (newest == nullptr || version.modified > newest->modified) newest = &version;
  }
  if (newest != nullptr && newest->kind == ObjectVersion::Kind::kDeleteMarker) return nullptr;
  return newest;
}

}  // namespace holdfast
