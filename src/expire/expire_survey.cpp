#include "expire/expire_survey.h"

#include <algorithm>
#include <map>

#include "core/error.h"

namespace holdfast {
namespace {

FolderState state_by_entry(const CatalogueEntry& entry) {
  switch (entry.state) {
    case BackupState::kCommitted:
    case BackupState::kDamaged:
    case BackupState::kExpiring:
      return FolderState::kCounts;
    case BackupState::kAborted:
      return FolderState::kAborted;
    case BackupState::kPacksOnly:
      return FolderState::kLoosePacks;
    case BackupState::kUnfinished:
      break;
  }
  return FolderState::kUnfinished;
}

BackupFolder folder_of(CatalogueEntry entry) {
  BackupFolder folder{.name = entry.name,
                      .state = state_by_entry(entry),
                      .damage = std::move(entry.damage),
                      .info = entry.outcome.info,
                      .outcome = std::move(entry.outcome)};
  folder.is_backup = folder.state == FolderState::kCounts;
  return folder;
}

void note_tombstone(const Repository& repository, const TombstoneName& last, BackupFolder& folder,
                    const std::stop_token& stop) {
  folder.last_tombstone = last;
  try {
    folder.tombstone = read_tombstone(repository, last, stop);
  } catch (const Error& error) {
    if (!condemns_one_object(error.kind())) throw;
    folder.state = FolderState::kUnsure;
    return;
  }
  switch (folder.tombstone->state) {
    case TombstoneState::kMarked:
      folder.state = FolderState::kMarked;
      break;
    case TombstoneState::kDeleting:
      folder.state = FolderState::kDeleting;
      break;
    case TombstoneState::kWithdrawn:
      break;
  }
}

// By history and id; sorted as survey.folders are not, so looked up in a map.
using FolderIndex = std::map<std::string, std::size_t>;

FolderIndex index_of(const std::vector<BackupFolder>& folders) {
  FolderIndex index;
  for (std::size_t i = 0; i < folders.size(); ++i) {
    index.emplace(names::backup_prefix(folders[i].name), i);
  }
  return index;
}

BackupFolder* look_up(const FolderIndex& index, std::vector<BackupFolder>& folders,
                      const BackupName& name) {
  const auto found = index.find(names::backup_prefix(name));
  return found == index.end() ? nullptr : &folders[found->second];
}

[[noreturn]] void refuse_partial(const BackupName& name, const std::string& object) {
  throw Error(ErrorKind::kRefused,
              fmt::format("the store's listings do not agree about backup {}; nothing was removed",
                          name.id.text),
              {.object = object,
               .hint = "Look whether the whole repository is there and run 'holdfast expire' "
                       "again. Nothing is removed while a listing may be partial."});
}

}  // namespace

ExpireSurvey survey_folders(const Repository& repository, const std::string& cluster,
                            const std::stop_token& stop) {
  ExpireSurvey survey{.cluster = cluster, .now = {}, .histories = {}, .folders = {}};
  for (CatalogueEntry& entry : list_backups(repository, cluster, stop)) {
    survey.folders.push_back(folder_of(std::move(entry)));
  }
  survey.histories = list_history_names(repository, cluster, stop);
  const FolderIndex index = index_of(survey.folders);
  for (const HistoryName& history : survey.histories) {
    for (const TombstoneName& last : list_tombstones(repository, cluster, history, stop)) {
      BackupFolder* const folder = look_up(index, survey.folders, last.backup);
      // An aborted one is over anyway.
      if (folder == nullptr || folder->state == FolderState::kAborted) continue;
      note_tombstone(repository, last, *folder, stop);
    }
    for (Hold& hold : list_holds(repository, cluster, history, stop)) {
      if (BackupFolder* const folder = look_up(index, survey.folders, hold.backup)) {
        folder->hold = std::move(hold);
      }
    }
  }
  survey.now = repository.store().now(stop);
  return survey;
}

const BackupFolder* find_folder(const ExpireSurvey& survey, const BackupName& name) {
  // Folders are sorted by id.
  auto at = std::ranges::lower_bound(survey.folders, name.id.text, {},
                                     [](const BackupFolder& f) { return f.name.id.text; });
  for (; at != survey.folders.end() && at->name.id == name.id; ++at) {
    if (at->name == name) return &*at;
  }
  return nullptr;
}

std::vector<Intent> all_intents(const Repository& repository, const ExpireSurvey& survey,
                                const std::stop_token& stop) {
  std::vector<Intent> all;
  for (const HistoryName& history : survey.histories) {
    auto some = list_intents(repository, survey.cluster, history, stop);
    std::ranges::move(some, std::back_inserter(all));
  }
  return all;
}

bool is_live_intent(const ExpireSurvey& survey, const Intent& intent) {
  const BackupFolder* const citing = find_folder(survey, intent.name.citing);
  // require_whole_listing() proved that one without a folder has no records either.
  if (citing == nullptr || citing->is_backup) return false;
  return citing->state == FolderState::kUnfinished || citing->state == FolderState::kMarked ||
         citing->state == FolderState::kUnsure;
}

void require_whole_listing(const Repository& repository, const ExpireSurvey& earlier,
                           const ExpireSurvey& later, const std::vector<Intent>& intents,
                           const std::stop_token& stop) {
  const auto require_gone = [&](const BackupName& name) {
    for (const std::string& object :
         {names::begin(name), names::outcome(name), names::manifest(name)}) {
      if (repository.store().head(object, stop)) refuse_partial(name, object);
    }
  };
  for (const BackupFolder& folder : earlier.folders) {
    if (find_folder(later, folder.name) == nullptr) require_gone(folder.name);
  }
  for (const Intent& intent : intents) {
    if (find_folder(later, intent.name.citing) == nullptr) require_gone(intent.name.citing);
  }
}

}  // namespace holdfast
