#pragma once
// A capability of stores that keep older versions of their objects: an S3 bucket with versioning,
// in which removing an object puts a delete marker over it and overwriting one puts a version over
// it, so that what was there can be seen again and brought back. It stands beside ObjectStore for
// the reasons that storage/thawing.h gives; decorators hand it on. Errors, cancellation, threads:
// as ObjectStore. Source: Amazon S3 API reference, ListObjectVersions, GetBucketVersioning,
// DeleteObject and CopyObject with a version id.

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/error.h"
#include "storage/object_store.h"

namespace holdfast {

enum class VersioningState {
  kNone,       // what is removed is gone
  kEnabled,    // it is hidden only
  kSuspended,  // what was written while it was enabled still has its older versions
  kUnknown,    // the server does not say, or not to these credentials
};

struct ObjectVersion {
  enum class Kind { kObject, kDeleteMarker };
  Kind kind = Kind::kObject;
  std::string id;
  std::uint64_t size = 0;  // of an object
  Timestamp modified;      // by the store's clock
  std::string storage_class;
  std::string etag;  // equal ones of one size have equal content
};

// One name and what was ever stored under it, newest first, or (only where asked for) a folder.
struct VersionsOfName {
  std::string name;
  bool folder = false;  // "prefix/part/": something below it exists, or once did
  std::vector<ObjectVersion> versions;
};

struct VersionsPage {
  std::vector<VersionsOfName> names;  // in byte order
  std::optional<std::string> next;    // as in ListPage
};

class Versioning {
 public:
  virtual ~Versioning() = default;

  virtual VersioningState versioning_state(const std::stop_token& stop) = 0;
  // limit is a wish: a page may have fewer names, and one without names may have a successor.
  virtual VersionsPage list_versions(const ListRequest& request, const std::stop_token& stop) = 0;
  // Removes one version for ever; here of delete markers, so that what they hide is seen again.
  virtual void remove_version(const std::string& name, const std::string& version,
                              const std::stop_token& stop) = 0;
  // Puts a copy of an older version, in its storage class, over what is there now.
  virtual void copy_version(const std::string& name, const ObjectVersion& version,
                            const std::stop_token& stop) = 0;
};

// Of any store: one that has no versions says kNone, and refuses the others with kUsage.
VersioningState versioning_state(ObjectStore& store, const std::stop_token& stop);
std::string_view to_string(VersioningState state);  // "enabled", as in the JSON forms
Versioning& require_versioning(ObjectStore& store);
// kUsage: a bucket that keeps no older versions was asked for some.
Error no_versions(const std::string& where);

// What was there at a time: the newest version that is not newer, unless it is a delete marker.
const ObjectVersion* version_as_of(const VersionsOfName& name, Timestamp time);

}  // namespace holdfast
