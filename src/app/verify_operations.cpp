#include "app/verify_operations.h"

#include "app/open.h"
#include "app/stand_ins.h"
#include "app/version.h"
#include "core/log.h"

namespace holdfast {
namespace {

// A lost descriptor looks like a repository that was never made. What the cluster has stored there
// tells the two apart.
std::unique_ptr<Repository> open_for_verify(const Config& config,
                                            const RepositoryConfig& repository,
                                            const std::stop_token& stop) {
  StoreOptions options = store_options(repository);
  options.rate = config.backup.rate;
  try {
    return Repository::open(open_store(options), key_source(repository.encryption), stop);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kRepository) throw;
    const auto store = open_store(options);
    if (store->head(names::kDescriptor, stop)) throw;
    const ListPage page =
        store->list({.prefix = names::cluster_prefix(config.cluster), .limit = 1}, stop);
    if (page.objects.empty()) throw;
  }
  throw Error(ErrorKind::kDamage, "the repository has backups, but its descriptor is missing",
              {.object = names::kDescriptor,
               .hint = "Bring the object back from another copy of the repository. Do not run "
                       "'holdfast init': a new descriptor does not open the old backups."});
}

}  // namespace

VerifyResult verify(const Config& config, const RepositoryConfig& repository,
                    const VerifyRequest& request, Progress& progress, const std::stop_token& stop) {
  const auto opened = open_for_verify(config, repository, stop);
  std::vector<CatalogueEntry> backups;
  if (request.backup) {
    backups.push_back(find_backup(*opened, config.cluster, *request.backup, stop));
  } else {
    backups = list_backups(*opened, config.cluster, stop);
  }
  if (request.mode != VerifyMode::kQuick) {
    bring_back(*opened, cold_objects(*opened, backups, stop), request.thaw, progress, stop);
  }
  return verify_backups(*opened, backups,
                        {.mode = request.mode,
                         .cluster = config.cluster,
                         .jobs = effective_jobs(config.backup.jobs),
                         .memory_bytes = config.memory_bytes,
                         .host = host_name(),
                         .holdfast_version = holdfast_version()},
                        progress, stop);
}

bool speaks_against(const std::optional<ProofRecord>& last) {
  return last && !last->ok && !last->time.empty();
}

std::uint64_t cat(const Config& config, const RepositoryConfig& repository,
                  const std::string& backup, const CatRequest& request,
                  const FileReader::Sink& sink, const std::stop_token& stop) {
  const auto opened = open_repository(repository, stop);
  const CatalogueEntry entry = find_backup(*opened, config.cluster, backup, stop);
  const auto stand_ins = stand_ins_for(config, repository);
  std::uint64_t done = 0;
  const FileReader::Sink counted = [&](ByteView piece) {
    sink(piece);
    done += piece.size();
  };
  try {
    cat_file(*opened, entry, request, counted, stand_ins.get(), stop);
  } catch (const Error& damage) {
    if (!stand_ins || damage.kind() != ErrorKind::kDamage) throw;
    // The manifest is damaged: the other repository's goes on where this one's ended.
    const auto other = stand_ins->whole(entry.outcome.info, stop);
    if (!other) throw;
    const std::uint64_t before = done;
    CatRequest rest = request;
    rest.offset += before;
    if (rest.length) *rest.length -= before;
    cat_file(*other->repository, other->backup, rest, counted, nullptr, stop);
    log_warning("damaged: " +
                describe({damage.object(), damage.message(), other->name, done - before}));
  }
  if (stand_ins) {
    for (const StoodIn& each : stand_ins->stood_in()) log_warning("damaged: " + describe(each));
  }
  return done;
}

}  // namespace holdfast
