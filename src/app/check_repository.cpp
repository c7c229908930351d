// `check`, the repository's side: does it open, and may this machine do in it what backups need?
#include <array>

#include <fmt/format.h>

#include "app/check_parts.h"
#include "app/init.h"
#include "app/open.h"
#include "storage/s3_store.h"

namespace holdfast {
namespace {

constexpr std::array kObjectClasses{ObjectClass::kCatalogue, ObjectClass::kData, ObjectClass::kWal};

void check_exclusive_create(CheckFindings& findings, ObjectStore& store, const std::string& prefix,
                            const RepositoryConfig& config, const std::stop_token& stop) {
  if (probe_exclusive_create(store, prefix, stop)) {
    return findings.ok("create only", "objects are never overwritten");
  }
  const bool alone = config.exclusive_writer;
  findings.add({"create only", alone ? FindingLevel::kWarning : FindingLevel::kFailed,
                "the store overwrites objects: it does not honour 'If-None-Match: *'",
                alone ? "exclusive_writer promises that nobody else writes to this repository."
                      : "Use a server that does, or set exclusive_writer: true if nobody else "
                        "ever writes to this repository."});
}

}  // namespace

std::unique_ptr<Repository> check_repository(CheckFindings& findings, const RepositoryCheck& check,
                                             const std::stop_token& stop) {
  std::unique_ptr<Repository> repository;
  findings.attempt("repository", [&] {
    const auto key = key_source(check.config.encryption);
    repository = in_repository(check.config, [&] {
      auto store = open_store(store_options(check.config));
      if (check.options.wrap_store) store = check.options.wrap_store(std::move(store));
      return Repository::open(std::move(store), key, stop);
    });
    findings.ok("repository",
                fmt::format("{}, made {}", check.config.url, repository->facts().created));
  });
  return repository;
}

void check_rights(CheckFindings& findings, Repository& repository, const RepositoryConfig& config,
                  const std::stop_token& stop) {
  ObjectStore& store = repository.store();
  const std::string prefix = scratch_prefix();
  const std::string content = "written by holdfast check";
  std::vector<std::string> written;
  for (const ObjectClass object_class : kObjectClasses) {
    written.push_back(fmt::format("{}class-{}", prefix, written.size()));
    store.put(written.back(), as_bytes(content), {.object_class = object_class}, stop);
  }
  // The first has the storage class of the catalogue; others may be too cold to be read at once.
  const auto read = store.get(written.front(), stop);
  const std::size_t listed = store.list({.prefix = prefix}, stop).objects.size();
  check_exclusive_create(findings, store, prefix, config, stop);
  const auto kept = store.remove_many(written, stop);
  if (!read || as_text(*read) != content || listed != written.size()) {
    throw Error(ErrorKind::kRepository, "the store does not give back what was just written",
                {.object = prefix, .hint = "See 'holdfast check --repo-only'."});
  }
  if (kept.empty()) return findings.ok("repository rights", "write, read, list, delete");
  findings.add({"repository rights", FindingLevel::kWarning,
                fmt::format("write, read, list; not delete: {}", kept.front().reason),
                "What expires, and what a backup that died has left, then stays and takes room."});
}

}  // namespace holdfast
