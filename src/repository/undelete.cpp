#include "repository/undelete.h"

#include <algorithm>
#include <mutex>
#include <optional>

#include <fmt/format.h>

#include "core/error.h"
#include "core/parallel.h"
#include "repository/names.h"
#include "storage/versioning.h"

namespace holdfast {
namespace {

constexpr std::size_t kRequestsAtOnce = 8;

// What must be done with one object.
struct Work {
  std::string name;
  ObjectVersion wanted;
  std::vector<std::string> markers;  // over it; empty: something else is
};

bool ends_a_backup(const std::string& name) {
  return name.find("/backup/") != std::string::npos && name.ends_with("/outcome");
}

bool says_it_goes(const std::string& name) {
  return name.find("/tombstone/") != std::string::npos ||
         name.find("/wal-mark/") != std::string::npos;
}

// What is there now: the first that the server names.
const ObjectVersion* version_now(const VersionsOfName& name) {
  if (name.versions.empty()) return nullptr;
  const ObjectVersion& first = name.versions.front();
  return first.kind == ObjectVersion::Kind::kObject ? &first : nullptr;
}

// Also a copy that an earlier run made.
bool is_same(const ObjectVersion& now, const ObjectVersion& then) {
  if (now.id == then.id) return true;
  return !then.etag.empty() && now.etag == then.etag && now.size == then.size;
}

class Undeletion {
 public:
  Undeletion(ObjectStore& store, const UndeleteOptions& options, std::stop_token stop)
      : store_(store),
        versions_(require_versioning(store)),
        options_(options),
        stop_(std::move(stop)) {}

  Undeleted run() {
    require_versions_kept();
    survey(names::kDescriptor);
    survey_keys();
    survey(names::cluster_prefix(options_.cluster));
    // What is half brought back is no backup: its commit comes last, and only when all is there.
    const bool whole = done_.failed_objects == 0;
    if (whole) hide_records();
    if (whole && done_.failed_objects == 0) bring_back(outcomes_);
    std::ranges::sort(done_.backups);
    return std::move(done_);
  }

 private:
  void require_versions_kept();
  void survey(const std::string& prefix);
  void survey_keys();
  std::optional<Work> work_for(const VersionsOfName& name);
  void bring_back(const std::vector<Work>& works);
  void bring_back(const Work& work, const std::stop_token& stop);
  void hide_records();
  void failed(const std::string& name, const Error& error);

  ObjectStore& store_;
  Versioning& versions_;
  const UndeleteOptions& options_;
  const std::stop_token stop_;
  std::vector<Work> outcomes_;
  std::vector<std::string> records_;
  std::mutex mutex_;  // guards done_ while several threads bring back
  Undeleted done_;
};

// Where versioning is suspended, a new object replaces the youngest one for good.
void Undeletion::require_versions_kept() {
  const VersioningState state = versions_.versioning_state(stop_);
  if (state == VersioningState::kNone) throw no_versions(store_.describe());
  if (state == VersioningState::kSuspended && options_.act == UndeleteOptions::Act::kBringBack) {
    throw Error(ErrorKind::kRefused,
                "versioning of the bucket is suspended: what undelete covers would be lost",
                {.object = store_.describe(),
                 .hint = "Switch versioning on again first, or take what you need with --as-of of "
                         "'holdfast restore' and 'holdfast copy'."});
  }
}

// nullopt: it is as it was, or was not there.
std::optional<Work> Undeletion::work_for(const VersionsOfName& name) {
  const ObjectVersion* then = version_as_of(name, options_.as_of);
  const ObjectVersion* now = version_now(name);
  if (then == nullptr) {
    if (now != nullptr && says_it_goes(name.name)) records_.push_back(name.name);
    return std::nullopt;
  }
  if (now != nullptr && is_same(*now, *then)) return std::nullopt;
  Work work{.name = name.name, .wanted = *then, .markers = {}};
  for (const ObjectVersion& version : name.versions) {
    if (version.id == then->id) break;
    if (version.kind != ObjectVersion::Kind::kDeleteMarker) {
      work.markers.clear();
      break;
    }
    work.markers.push_back(version.id);
  }
  return work;
}

void Undeletion::survey(const std::string& prefix) {
  ListRequest request{.prefix = prefix};
  for (;;) {
    const VersionsPage page = versions_.list_versions(request, stop_);
    std::vector<Work> works;
    for (const VersionsOfName& name : page.names) {
      auto work = work_for(name);
      if (!work) continue;
      (ends_a_backup(work->name) ? outcomes_ : works).push_back(std::move(*work));
    }
    bring_back(works);
    if (!page.next) return;
    request.after = *page.next;
  }
}

// The highest generation counts, so an older one is of use only when no other is left.
void Undeletion::survey_keys() {
  const ListPage now = store_.list({.prefix = names::kKeysPrefix, .limit = 1}, stop_);
  if (now.objects.empty()) survey(names::kKeysPrefix);
}

void Undeletion::failed(const std::string& name, const Error& error) {
  const std::lock_guard lock(mutex_);
  ++done_.failed_objects;
  if (done_.failed_example.empty()) {
    done_.failed_example = fmt::format("{}: {}", name, error.message());
  }
}

void Undeletion::bring_back(const Work& work, const std::stop_token& stop) {
  bool copied = work.markers.empty();
  try {
    for (const std::string& marker : work.markers) {
      versions_.remove_version(work.name, marker, stop);
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kRepository || error.retryable()) throw;
    copied = true;  // to write is allowed more often than to remove versions
  }
  if (copied) versions_.copy_version(work.name, work.wanted, stop);
  const std::lock_guard lock(mutex_);
  ++done_.objects;
  done_.bytes += work.wanted.size;
  if (copied) ++done_.copied_objects;
}

void Undeletion::bring_back(const std::vector<Work>& works) {
  for (const Work& work : works) {
    if (!ends_a_backup(work.name)) continue;
    const std::string folder = work.name.substr(0, work.name.rfind('/'));
    done_.backups.push_back(folder.substr(folder.rfind('/') + 1));
  }
  if (options_.act == UndeleteOptions::Act::kLook) {
    for (const Work& work : works) {
      ++done_.objects;
      done_.bytes += work.wanted.size;
      if (work.markers.empty()) ++done_.copied_objects;
    }
    return;
  }
  parallel_for(works.size(), kRequestsAtOnce, stop_,
               [&](std::size_t i, const std::stop_token& stop) {
                 try {
                   bring_back(works[i], stop);
                 } catch (const Error& error) {
                   if (error.kind() != ErrorKind::kRepository || error.retryable()) throw;
                   failed(works[i].name, error);
                 }
               });
}

void Undeletion::hide_records() {
  done_.hidden_records = records_.size();
  if (options_.act == UndeleteOptions::Act::kLook) return;
  for (const RemoveFailure& failure : store_.remove_many(records_, stop_)) {
    --done_.hidden_records;
    failed(failure.name, Error(ErrorKind::kRepository, failure.reason));
  }
}

}  // namespace

Undeleted undelete(ObjectStore& store, const UndeleteOptions& options,
                   const std::stop_token& stop) {
  return Undeletion(store, options, stop).run();
}

}  // namespace holdfast
