#include "repository/catalogue.h"

#include <algorithm>
#include <span>

#include "core/error.h"
#include "core/parallel.h"
#include "repository/history.h"
#include "repository/tombstone.h"

namespace holdfast {
namespace {

std::vector<BackupName> list_backup_names(const Repository& repository, const std::string& cluster,
                                          const HistoryName& history, const std::stop_token& stop) {
  std::vector<BackupName> found;
  ListRequest request{.prefix = names::backups_prefix(cluster, history), .group_folders = true};
  for (;;) {
    const ListPage page = repository.store().list(request, stop);
    for (const std::string& folder : page.folders) {
      const std::string_view id = std::string_view(folder).substr(
          request.prefix.size(), folder.size() - request.prefix.size() - 1);
      if (const auto parsed = parse_backup_id(id)) found.push_back({cluster, history, *parsed});
    }
    if (!page.next) return found;
    request.after = *page.next;
  }
}

CatalogueEntry read_entry(const Repository& repository, const BackupName& name,
                          const std::stop_token& stop) {
  CatalogueEntry entry{.name = name};
  try {
    if (auto outcome = read_outcome(repository, name, stop)) {
      entry.state = outcome->committed ? BackupState::kCommitted : BackupState::kAborted;
      entry.outcome = std::move(*outcome);
    } else if (!repository.store().head(names::begin(name), stop)) {
      entry.state = BackupState::kPacksOnly;  // every backup writes its begin record first
    }
  } catch (const Error& error) {
    if (!condemns_one_object(error.kind())) throw;
    entry.state = BackupState::kDamaged;
    entry.damage = error.message();
  }
  return entry;
}

// What a tombstone makes of an entry. A record that says "aborted" stays one: it is over anyway. A
// deleted backup, of which only packs are left for others, is no backup any more.
void mark_going(CatalogueEntry& entry) {
  if (entry.state == BackupState::kAborted) return;
  const bool has_outcome =
      entry.state == BackupState::kCommitted || entry.state == BackupState::kDamaged;
  entry.state = has_outcome ? BackupState::kExpiring : BackupState::kPacksOnly;
}

// One listing per history, and a get for each of the few whose last record is not a mark.
void note_tombstones(const Repository& repository, const std::string& cluster,
                     const HistoryName& history, std::span<CatalogueEntry> entries,
                     const std::stop_token& stop) {
  for (const TombstoneName& last : list_tombstones(repository, cluster, history, stop)) {
    const auto entry = std::ranges::find(entries, last.backup, &CatalogueEntry::name);
    if (entry != entries.end() && is_going(repository, last, stop)) mark_going(*entry);
  }
}

bool is_damaged(const CatalogueEntry& entry) {
  return entry.state == BackupState::kDamaged;
}

bool matches(const CatalogueEntry& entry, const std::string& wanted) {
  return entry.name.id.text == wanted ||
         (entry.state == BackupState::kCommitted && entry.outcome.info.label == wanted);
}

// The oldest or the latest backup. A damaged one in that place is not passed over silently: who
// asks for the latest would get older data without knowing.
CatalogueEntry pick_end(const std::vector<CatalogueEntry>& all, const std::string& wanted,
                        const std::string& cluster) {
  std::vector<CatalogueEntry> there;
  std::ranges::copy_if(all, std::back_inserter(there), [](const CatalogueEntry& entry) {
    return entry.state == BackupState::kCommitted || is_damaged(entry);
  });
  if (there.empty()) {
    throw Error(ErrorKind::kNotFound, fmt::format("cluster '{}' has no backup yet", cluster),
                {.object = wanted, .hint = "Take one with 'holdfast backup'."});
  }
  // The state of a recovered copy is neither the cluster's latest nor its oldest.
  const bool any_other = std::ranges::any_of(
      there, [](const CatalogueEntry& entry) { return !entry.outcome.info.recovered; });
  if (any_other) {
    std::erase_if(there, [](const CatalogueEntry& entry) {
      return entry.outcome.info.recovered.has_value();
    });
  }
  const CatalogueEntry& picked = wanted == "latest" ? there.back() : there.front();
  if (is_damaged(picked)) {
    throw Error(ErrorKind::kDamage,
                fmt::format("the {} backup is damaged: {}", wanted, picked.damage),
                {.object = names::outcome(picked.name),
                 .hint = "Name the backup that you want instead: see 'holdfast list'."});
  }
  return picked;
}

}  // namespace

std::string_view to_string(BackupState state) {
  switch (state) {
    case BackupState::kCommitted:
      return "complete";
    case BackupState::kDamaged:
      return "damaged";
    case BackupState::kUnfinished:
      return "unfinished";
    case BackupState::kAborted:
      return "aborted";
    case BackupState::kExpiring:
      return "expiring";
    case BackupState::kPacksOnly:
      return "packs only";
  }
  return "unknown";
}

bool condemns_one_object(ErrorKind kind) {
  return kind == ErrorKind::kDamage || kind == ErrorKind::kNewerFormat ||
         kind == ErrorKind::kWrongKey || kind == ErrorKind::kRefused;
}

bool is_listed(BackupState state) {
  return state == BackupState::kCommitted || state == BackupState::kDamaged ||
         state == BackupState::kExpiring;
}

std::vector<CatalogueEntry> list_backups(const Repository& repository, const std::string& cluster,
                                         const std::stop_token& stop) {
  std::vector<BackupName> found;
  const std::vector<HistoryName> histories = list_history_names(repository, cluster, stop);
  for (const HistoryName& history : histories) {
    const auto of_history = list_backup_names(repository, cluster, history, stop);
    found.insert(found.end(), of_history.begin(), of_history.end());
  }
  std::vector<CatalogueEntry> entries(found.size());
  parallel_for(found.size(), repository.store().capabilities().parallel_requests, stop,
               [&](std::size_t i, const std::stop_token& inner) {
                 entries[i] = read_entry(repository, found[i], inner);
               });
  // After the outcomes: what is committed by then and has no tombstone was whole at that moment.
  for (const HistoryName& history : histories) {
    note_tombstones(repository, cluster, history, entries, stop);
  }
  std::ranges::stable_sort(entries, {}, [](const CatalogueEntry& e) { return e.name.id.text; });
  return entries;
}

CatalogueEntry find_backup(const Repository& repository, const std::string& cluster,
                           const std::string& wanted, const std::stop_token& stop) {
  CatalogueEntry found = find_listed_backup(repository, cluster, wanted, stop);
  if (is_damaged(found)) {
    throw Error(ErrorKind::kDamage, found.damage, {.object = names::outcome(found.name)});
  }
  if (found.state == BackupState::kExpiring) {
    throw Error(ErrorKind::kRefused, "this backup is going to be deleted",
                {.object = wanted,
                 .hint = "If its deletion has not begun, 'holdfast hold' brings it back."});
  }
  return found;
}

CatalogueEntry find_listed_backup(const Repository& repository, const std::string& cluster,
                                  const std::string& wanted, const std::stop_token& stop) {
  const std::vector<CatalogueEntry> all = list_backups(repository, cluster, stop);
  if (wanted == "latest" || wanted == "oldest") return pick_end(all, wanted, cluster);
  std::vector<CatalogueEntry> found;
  std::ranges::copy_if(all, std::back_inserter(found),
                       [&](const CatalogueEntry& entry) { return matches(entry, wanted); });
  if (found.size() > 1) {
    throw Error(ErrorKind::kRefused, "several backups have this name",
                {.object = wanted, .hint = "Use the id: see 'holdfast list'."});
  }
  if (found.empty() || !is_listed(found[0].state)) {
    throw Error(ErrorKind::kNotFound, "there is no such backup",
                {.object = wanted, .hint = "See 'holdfast list'."});
  }
  return found[0];
}

ManifestRoot read_manifest(const Repository& repository, const Outcome& outcome,
                           PackRegistry& registry, const std::stop_token& stop) {
  const BackupName& backup = outcome.info.name;
  const std::string name = names::manifest(backup);
  auto object = repository.store().get(name, stop);
  if (!object) {
    throw Error(ErrorKind::kDamage, "the manifest of a committed backup is missing",
                {.object = name});
  }
  const std::string digest = to_hex(sha256(*object));
  const Bytes plain =
      open_record(ContainerKind::kManifest, repository.keys(), std::move(*object), name);
  if (digest != outcome.manifest_sha256) {
    throw Error(ErrorKind::kDamage, "the manifest is not the one that was committed",
                {.object = name});
  }
  ManifestRoot root;
  try {
    root = decode_manifest_root(plain, registry);
  } catch (Error& error) {
    throw error.about(name);
  }
  if (!(root.info.name == backup)) {
    throw Error(ErrorKind::kDamage, "the manifest is that of another backup", {.object = name});
  }
  if (page_hasher_of(repository, root).key_name() != root.info.page_hash_key) {
    throw Error(ErrorKind::kDamage, "the manifest lacks the key of its block hashes",
                {.object = name});
  }
  return root;
}

PageHasher page_hasher_of(const Repository& repository, const ManifestRoot& root) {
  return root.hash_key ? PageHasher(*root.hash_key) : repository.page_hasher();
}

}  // namespace holdfast
