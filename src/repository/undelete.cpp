#include "repository/undelete.h"

#include <algorithm>
#include <mutex>
#include <optional>

#include <fmt/format.h>

#include "core/error.h"
#include "core/parallel.h"
#include "repository/key_slots_json.h"
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

bool begins_a_backup(const std::string& name) {
  return name.find("/backup/") != std::string::npos && name.ends_with("/begin");
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
    // What is half brought back is no backup: its commit comes late, and only when all is there.
    if (is_whole()) hide_records();
    if (is_whole()) bring_back(outcomes_);
    // A begin without a commit record is that of a dead backup, which the next one sweeps.
    if (is_whole()) bring_back(begins_);
    std::ranges::sort(done_.backups);
    return std::move(done_);
  }

 private:
  void require_versions_kept();
  void survey(const std::string& prefix);
  void survey_keys();
  enum class Slots { kOpen, kForeign, kDamaged };
  Slots judge_slots(const std::string& name);
  void settle_younger_slots(const std::string& name, Slots slots);
  std::vector<VersionsOfName> all_versions(const std::string& prefix);
  bool is_there(const Work& work, const std::stop_token& stop);
  bool is_whole() const { return done_.failed_objects == 0; }
  std::optional<Work> work_for(const VersionsOfName& name);
  void bring_back(const std::vector<Work>& works);
  void bring_back(const Work& work, const std::stop_token& stop);
  void note_backup(const Work& work);
  void hide_records();
  void failed(const std::string& name, const Error& error);

  ObjectStore& store_;
  Versioning& versions_;
  const UndeleteOptions& options_;
  const std::stop_token stop_;
  std::vector<Work> outcomes_, begins_;
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
      auto& where = ends_a_backup(work->name)     ? outcomes_
                    : begins_a_backup(work->name) ? begins_
                                                  : works;
      where.push_back(std::move(*work));
    }
    bring_back(works);
    if (!page.next) return;
    request.after = *page.next;
  }
}

std::vector<VersionsOfName> Undeletion::all_versions(const std::string& prefix) {
  std::vector<VersionsOfName> all;
  ListRequest request{.prefix = prefix};
  for (;;) {
    VersionsPage page = versions_.list_versions(request, stop_);
    std::ranges::move(page.names, std::back_inserter(all));
    if (!page.next) return all;
    request.after = *page.next;
  }
}

// Whether the slots that are there now are those of this repository.
Undeletion::Slots Undeletion::judge_slots(const std::string& name) {
  auto object = store_.get(name, stop_);
  if (!object) return Slots::kDamaged;
  try {
    const KeyGeneration generation = decode_key_generation(std::move(*object), name, nullptr);
    if (!options_.key) return Slots::kOpen;
    const bool opens = std::ranges::any_of(generation.slots, [&](const KeySlot& slot) {
      return unwrap(slot, *options_.key).has_value();
    });
    return opens ? Slots::kOpen : Slots::kForeign;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kDamage) return Slots::kDamaged;
    if (error.kind() == ErrorKind::kNewerFormat) return Slots::kForeign;
    throw;
  }
}

// Of a generation that was not there then. The highest counts, be it whose it may.
void Undeletion::settle_younger_slots(const std::string& name, Slots slots) {
  if (slots == Slots::kOpen) {
    done_.younger_keys.push_back(name);
  } else if (slots == Slots::kDamaged) {
    records_.push_back(name);
  } else {
    failed(name, Error(ErrorKind::kRepository,
                       "it is younger than the time, the configured key does not open it, and it "
                       "counts. If it is yours, configure its key; if not, remove it. Then run "
                       "this again"));
  }
}

// An older generation is of use only when no later one counts that this repository's owner wrote.
void Undeletion::survey_keys() {
  const std::vector<VersionsOfName> all = all_versions(names::kKeysPrefix);
  std::uint32_t good = 0;
  std::vector<Work> works;
  for (const VersionsOfName& name : all) {
    const auto number = names::parse_key_generation(name.name);
    if (!number) continue;
    if (auto work = work_for(name)) {
      works.push_back(std::move(*work));
    } else if (version_now(name) != nullptr) {
      const bool is_younger = version_as_of(name, options_.as_of) == nullptr;
      const Slots slots = is_younger ? judge_slots(name.name) : Slots::kOpen;
      if (is_younger) settle_younger_slots(name.name, slots);
      if (slots == Slots::kOpen) good = std::max(good, *number);
    }
  }
  std::erase_if(works, [&](const Work& work) {
    return !work.markers.empty() && names::parse_key_generation(work.name) < good;
  });
  bring_back(works);
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
  if (ends_a_backup(work.name) && !is_there(work, stop)) {
    throw Error(ErrorKind::kRepository,
                "something else was written over it at the same moment. Stop 'holdfast backup' "
                "and 'holdfast expire' and run this again");
  }
  const std::lock_guard lock(mutex_);
  note_backup(work);
  ++done_.objects;
  done_.bytes += work.wanted.size;
  if (copied) ++done_.copied_objects;
}

// Whether what is there now is what was wanted.
bool Undeletion::is_there(const Work& work, const std::stop_token& stop) {
  ListRequest request{.prefix = work.name};
  for (;;) {
    const VersionsPage page = versions_.list_versions(request, stop);
    const auto found = std::ranges::find(page.names, work.name, &VersionsOfName::name);
    if (found != page.names.end()) {
      const ObjectVersion* now = version_now(*found);
      return now != nullptr && is_same(*now, work.wanted);
    }
    if (!page.next) return false;
    request.after = *page.next;
  }
}

void Undeletion::note_backup(const Work& work) {
  if (!ends_a_backup(work.name)) return;
  const std::string folder = work.name.substr(0, work.name.rfind('/'));
  done_.backups.push_back(folder.substr(folder.rfind('/') + 1));
}

void Undeletion::bring_back(const std::vector<Work>& works) {
  if (options_.act == UndeleteOptions::Act::kLook) {
    for (const Work& work : works) {
      ++done_.objects;
      done_.bytes += work.wanted.size;
      if (work.markers.empty()) ++done_.copied_objects;
      note_backup(work);
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
