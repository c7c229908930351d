#include "repository/catalogue.h"

#include <algorithm>

#include "core/error.h"
#include "core/parallel.h"
#include "repository/history.h"

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
    }
  } catch (const Error& error) {
    if (!condemns_one_object(error.kind())) throw;
    entry.state = BackupState::kDamaged;
    entry.damage = error.message();
  }
  return entry;
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
  }
  return "unknown";
}

bool condemns_one_object(ErrorKind kind) {
  return kind == ErrorKind::kDamage || kind == ErrorKind::kNewerFormat ||
         kind == ErrorKind::kWrongKey || kind == ErrorKind::kRefused;
}

std::vector<CatalogueEntry> list_backups(const Repository& repository, const std::string& cluster,
                                         const std::stop_token& stop) {
  std::vector<BackupName> found;
  for (const HistoryName& history : list_history_names(repository, cluster, stop)) {
    const auto of_history = list_backup_names(repository, cluster, history, stop);
    found.insert(found.end(), of_history.begin(), of_history.end());
  }
  std::vector<CatalogueEntry> entries(found.size());
  parallel_for(found.size(), repository.store().capabilities().parallel_requests, stop,
               [&](std::size_t i, const std::stop_token& inner) {
                 entries[i] = read_entry(repository, found[i], inner);
               });
  std::ranges::stable_sort(entries, {}, [](const CatalogueEntry& e) { return e.name.id.text; });
  return entries;
}

CatalogueEntry find_backup(const Repository& repository, const std::string& cluster,
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
  if (found.empty() || found[0].state == BackupState::kUnfinished ||
      found[0].state == BackupState::kAborted) {
    throw Error(ErrorKind::kNotFound, "there is no such backup",
                {.object = wanted, .hint = "See 'holdfast list'."});
  }
  if (is_damaged(found[0])) {
    throw Error(ErrorKind::kDamage, found[0].damage, {.object = names::outcome(found[0].name)});
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
  return root;
}

}  // namespace holdfast
  if (page_hasher_of(repository, root).key_name() != root.info.page_hash_key) {
    throw Error(ErrorKind::kDamage, "the manifest lacks the key of its block hashes",
                {.object = name});
  }
PageHasher page_hasher_of(const Repository& repository, const ManifestRoot& root) {
  return root.hash_key ? PageHasher(*root.hash_key) : repository.page_hasher();
}

