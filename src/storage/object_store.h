#pragma once
// The one interface to where a repository lives: a folder, or a bucket on S3 and what speaks S3.
//
// Consistency: an object appears whole or not at all, and never changes afterwards. A put that
//   returned is durable and visible to every later get, head and list.
// Errors: kRepository, with retryable set where the same call may succeed later. "No such object"
//   is never an error but an empty answer, and it is given only when the store itself said so: a
//   missing bucket or folder, a denied request or a broken connection is an error (invariant 5).
// Cancellation: every call takes a stop token and gives up within a second with kCancelled; a put
//   or remove that failed or was cancelled may or may not have happened.
// Threads: every method may be called from several threads at once.
// Memory: a call allocates no more than the object it returns.
// Cross-cutting behaviour (retry, rate limit, metrics, faults) wraps a store as a decorator; the
// order of wrapping stands in one place, storage/open_store.h.

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/time.h"

namespace holdfast {

// The largest object that Holdfast ever writes: one request each, so no multipart upload exists.
inline constexpr std::size_t kMaxObjectBytes = std::size_t{64} << 20U;

// What an object is for; the configuration chooses the storage class of each kind.
enum class ObjectClass { kCatalogue, kData, kWal };

struct ObjectInfo {
  std::string name;
  std::uint64_t size = 0;
  Timestamp modified = {};         // by the store's clock
  std::string storage_class = {};  // as the store names it; empty in a folder
};

enum class PutOutcome {
  kCreated,
  kExists,  // an object of that name was there before this call, or an earlier attempt of this
            // very call got through: whoever cares reads it back (repository/write_once.h)
};

struct PutOptions {
  ObjectClass object_class = ObjectClass::kCatalogue;
};

struct ListRequest {
  std::string prefix = {};     // names that begin with this
  std::string after = {};      // names greater than this (byte order), or all
  bool group_folders = false;  // fold names with a further '/' behind the prefix into `folders`
  std::size_t limit = 1000;    // at most this many objects and folders in the answer
};

struct ListPage {
  std::vector<ObjectInfo> objects;   // in byte order of their names
  std::vector<std::string> folders;  // "prefix/part/", in byte order; only with group_folders
  std::optional<std::string> next;   // pass as `after` to go on; absent on the last page
};

struct RemoveFailure {
  std::string name;
  std::string reason;
};

struct Capabilities {
  bool exclusive_create = false;  // put is create-only by the store's own guarantee
  bool storage_classes = false;
  std::size_t parallel_requests = 8;  // how many requests in flight serve it best
};

class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  // Creates the object; never replaces one.
  virtual PutOutcome put(const std::string& name, ByteView content, const PutOptions& options,
                         const std::stop_token& stop) = 0;

  // The whole object, or nullopt when the store says that there is none.
  virtual std::optional<Bytes> get(const std::string& name, const std::stop_token& stop) = 0;

  // Fills `out` with exactly out.size() (> 0) bytes from `offset`. False when the store says that
  // there is no such object. An object that ends earlier is Error(kDamage).
  virtual bool get_range(const std::string& name, std::uint64_t offset, MutableByteView out,
                         const std::stop_token& stop) = 0;

  virtual std::optional<ObjectInfo> head(const std::string& name, const std::stop_token& stop) = 0;

  virtual ListPage list(const ListRequest& request, const std::stop_token& stop) = 0;

  // Gone, or was not there: both fine. Not allowed to delete, locked: Error(kRepository).
  virtual void remove(const std::string& name, const std::stop_token& stop) = 0;

  // As remove, for many names in as few requests as the store allows; returns what is still there.
  virtual std::vector<RemoveFailure> remove_many(const std::vector<std::string>& names,
                                                 const std::stop_token& stop) = 0;

  virtual const Capabilities& capabilities() const = 0;

  // The store's own clock, from its latest answer (one cheap request if there was none yet).
  virtual Timestamp now(const std::stop_token& stop) = 0;

  // For messages: "file:///srv/backups", "s3://bucket/prefix".
  virtual std::string describe() const = 0;
};

// Calls `visit` for every object under `prefix`, page by page, in byte order.
template <class Visit>
void for_each_object(ObjectStore& store, const std::string& prefix, const std::stop_token& stop,
                     Visit&& visit) {
  ListRequest request{.prefix = prefix};
  for (;;) {
    const ListPage page = store.list(request, stop);
    for (const ObjectInfo& object : page.objects) visit(object);
    if (!page.next) return;
    request.after = *page.next;
  }
}

}  // namespace holdfast
