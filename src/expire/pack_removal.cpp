#include "expire/pack_removal.h"

#include <charconv>

#include "core/fault_point.h"
#include "storage/leftovers.h"

namespace holdfast {
namespace {

struct PackName {
  names::PackKind kind = names::PackKind::kData;
  std::uint32_t number = 0;
};

std::optional<PackName> parse_pack(const BackupName& backup, const std::string& object) {
  for (const auto kind : {names::PackKind::kData, names::PackKind::kMap}) {
    std::uint32_t number = 0;
    const auto slash = object.rfind('/');
    const char* const end = object.data() + object.size();
    const auto parsed = std::from_chars(object.data() + slash + 1, end, number);
    if (parsed.ec == std::errc{} && parsed.ptr == end && number > 0 &&
        names::pack(backup, kind, number) == object) {
      return PackName{kind, number};
    }
  }
  return std::nullopt;
}

class FolderEmptier {
 public:
  FolderEmptier(const Repository& repository, const EmptyFolder& which, const PackUse& use,
                RemovedObjects& counts, const std::stop_token& stop)
      : repository_(repository),
        which_(which),
        name_(which.folder.name),
        use_(use),
        counts_(counts),
        failed_before_(counts.failed),
        remover_(repository.store(), counts, stop),
        stop_(stop) {}

  bool run();

 private:
  bool remove_records();
  void remove_rest();
  void remove_intents();
  bool stays(const ObjectInfo& object);

  const Repository& repository_;
  const EmptyFolder& which_;
  const BackupName& name_;
  const PackUse& use_;
  const RemovedObjects& counts_;
  const std::uint64_t failed_before_;
  ObjectRemover remover_;
  const std::stop_token& stop_;
  bool anything_stays_ = false;
};

// False when the commit record is still there.
bool FolderEmptier::remove_records() {
  if (which_.folder.state != FolderState::kDeleting) return true;
  if (!remover_.remove_now(names::outcome(name_))) return false;
  fault_point("expire.outcome_removed");
  remover_.remove_now(names::manifest(name_));
  fault_point("expire.manifest_removed");
  return true;
}

bool FolderEmptier::stays(const ObjectInfo& object) {
  if (const auto pack = parse_pack(name_, object.name)) {
    return which_.cited_by_intent || use_.is_cited(name_, pack->kind, pack->number);
  }
  if (object.name == names::begin(name_) || object.name == names::outcome(name_)) {
    return which_.folder.state == FolderState::kAborted;
  }
  if (object.name == names::manifest(name_) || names::parse_proof(name_, object.name)) return false;
  remover_.note_foreign(object);
  return true;
}

void FolderEmptier::remove_rest() {
  for_each_object(repository_.store(), names::backup_prefix(name_), stop_,
                  [&](const ObjectInfo& object) {
                    if (stays(object)) {
                      anything_stays_ = true;
                    } else {
                      remover_.add(object);
                    }
                  });
  remover_.flush();
  remove_leftovers(repository_.store(), names::backup_prefix(name_), stop_);
}

void FolderEmptier::remove_intents() {
  for_each_object(repository_.store(), names::intents_prefix(name_), stop_,
                  [&](const ObjectInfo& object) { remover_.add(object); });
  remover_.flush();
}

bool FolderEmptier::run() {
  if (!remove_records()) return false;
  remove_rest();
  const bool all_gone = counts_.failed == failed_before_;
  if (all_gone && !anything_stays_ && !which_.cited_by_intent &&
      which_.folder.state == FolderState::kDeleting) {
    remove_intents();
  }
  return all_gone;
}

}  // namespace

bool empty_folder(const Repository& repository, const EmptyFolder& which, const PackUse& use,
                  RemovedObjects& counts, const std::stop_token& stop) {
  return FolderEmptier(repository, which, use, counts, stop).run();
}

}  // namespace holdfast
