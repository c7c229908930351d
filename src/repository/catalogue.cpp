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
    if (error.kind() != ErrorKind::kDamage && error.kind() != ErrorKind::kNewerFormat &&
        error.kind() != ErrorKind::kWrongKey) {
      throw;
    }
    entry.state = BackupState::kDamaged;
    entry.damage = error.message();
  }
  return entry;
}

bool matches(const CatalogueEntry& entry, const std::string& wanted) {
  return entry.name.id.text == wanted ||
         (entry.state == BackupState::kCommitted && entry.outcome.info.label == wanted);
}

CatalogueEntry pick_end(const std::vector<CatalogueEntry>& committed, const std::string& wanted,
                        const std::string& cluster) {
  if (committed.empty()) {
    throw Error(ErrorKind::kNotFound, fmt::format("cluster '{}' has no backup yet", cluster),
                {.object = wanted, .hint = "Take one with 'holdfast backup'."});
  }
  return wanted == "latest" ? committed.back() : committed.front();
}

}  // namespace

std::vector<CatalogueEntry> list_backups(const Repository& repository, const std::string& cluster,
                                         const std::stop_token& stop) {
  std::vector<BackupName> found;
  for (const HistoryRecord& history : list_histories(repository, cluster, stop)) {
    const auto of_history = list_backup_names(repository, cluster, history.name, stop);
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
  std::vector<CatalogueEntry> committed;
  std::ranges::copy_if(all, std::back_inserter(committed), [](const CatalogueEntry& entry) {
    return entry.state == BackupState::kCommitted;
  });
  if (wanted == "latest" || wanted == "oldest") return pick_end(committed, wanted, cluster);
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
  if (found[0].state == BackupState::kDamaged) {
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
  ManifestRoot root = decode_manifest_root(plain, registry);
  if (!(root.info.name == backup)) {
    throw Error(ErrorKind::kDamage, "the manifest is that of another backup", {.object = name});
  }
  return root;
}

}  // namespace holdfast
