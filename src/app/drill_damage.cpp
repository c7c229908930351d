#include "app/drill_damage.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "repository/manifest.h"
#include "repository/names.h"
#include "restore/reachable_times.h"

namespace holdfast {
namespace {

void add_wal(const Repository& repository, const BackupInfo& info, const std::stop_token& stop,
             std::vector<std::string>& objects) {
  const WalSegmentSize size = info.wal_segment_size;
  const WalPlace place{info.name.cluster, info.name.history};
  const std::uint64_t last = (info.stop_lsn.value - 1) / size.bytes;
  for (std::uint64_t n = info.start_lsn.value / size.bytes; n <= last; ++n) {
    std::string name = names::wal_segment(place, {info.timeline, n}, size);
    if (repository.store().head(name, stop)) objects.push_back(std::move(name));
  }
}

}  // namespace

std::string draw_damaged_object(const Repository& repository, const DamageDraw& draw,
                                const std::stop_token& stop) {
  const CatalogueEntry entry = find_backup(repository, draw.cluster, draw.backup, stop);
  PackRegistry registry;
  const ManifestRoot root = read_manifest(repository, entry.outcome, registry, stop);
  std::vector<std::string> objects{names::manifest(entry.name)};
  for (const CitedPack& cited : root.packs) {
    const PackRef& pack = registry.at(cited.pack);
    objects.push_back(
        names::pack({draw.cluster, pack.history, pack.backup}, pack.kind, pack.number));
  }
  if (draw.needs_archive) add_wal(repository, entry.outcome.info, stop, objects);
  std::ranges::sort(objects);
  Chance chance(draw.seed ^ kDamageStream);
  return objects.at(draw_below(chance, objects.size()));
}

CopyEnvironment environment_with_damage(CopyEnvironment environment, const std::string& object) {
  environment.emplace_back("HOLDFAST_STORE_FAULTS",
                           fmt::format("get@{0}=flip,get_range@{0}=flip", object));
  return environment;
}

}  // namespace holdfast
