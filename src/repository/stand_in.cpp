#include "repository/stand_in.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/log.h"
#include "core/text.h"

namespace holdfast {
namespace {

bool is_same_backup(const BackupInfo& a, const BackupInfo& b) {
  return a.name == b.name && a.timeline == b.timeline && a.start_lsn == b.start_lsn &&
         a.stop_lsn == b.stop_lsn;
}

}  // namespace

std::string describe(const StoodIn& stood_in) {
  return fmt::format("{}: {}; {} were taken from repository '{}' instead", stood_in.object,
                     stood_in.problem, human_bytes(stood_in.bytes), stood_in.repository);
}

// A repository in which the backup was looked for.
struct StandIns::Twin {
  bool usable = false;
  std::shared_ptr<const Repository> repository;
  CatalogueEntry backup;
  std::unique_ptr<ChunkReader> chunks;
  std::unique_ptr<Manifest> manifest;
  std::unique_ptr<FileReader> files;
  std::optional<FileEntry> file;  // the one that was read last
};

StandIns::StandIns(std::vector<StandInRepository> others)
    : others_(std::move(others)), twins_(others_.size()) {}

StandIns::~StandIns() = default;

// nullptr: it does not have the backup, or cannot be asked.
StandIns::Twin* StandIns::twin(std::size_t index, const BackupInfo& backup,
                               const std::stop_token& stop) {
  std::unique_ptr<Twin>& known = twins_[index];
  if (known) return known->usable ? known.get() : nullptr;
  known = std::make_unique<Twin>();
  try {
    known->repository = others_[index].open(stop);
    const Repository& repository = *known->repository;
    known->backup = find_backup(repository, backup.name.cluster, backup.name.id.text, stop);
    if (!is_same_backup(known->backup.outcome.info, backup)) return nullptr;
    known->chunks =
        std::make_unique<ChunkReader>(repository.store(), repository.keys(), backup.name.cluster);
    ManifestRoot root =
        read_manifest(repository, known->backup.outcome, known->chunks->registry(), stop);
    const PageHasher hasher = page_hasher_of(repository, root);
    known->manifest = std::make_unique<Manifest>(std::move(root), *known->chunks);
    known->files = std::make_unique<FileReader>(*known->manifest, *known->chunks, hasher);
    known->usable = true;
    return known.get();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kCancelled) throw;
    log_warning("a repository cannot stand in",
                {{"repository", others_[index].name}, {"error", error.message()}});
    return nullptr;
  }
}

Bytes StandIns::replace(const Part& part, const Damage& damage, const std::stop_token& stop) {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < others_.size(); ++i) {
    Twin* const other = twin(i, part.backup, stop);
    if (other == nullptr) continue;
    try {
      if (!other->file || other->file->path != part.path) {
        other->file = other->manifest->find(part.path, stop);
      }
      if (!other->file || part.range.offset > other->file->size ||
          part.range.length > other->file->size - part.range.offset) {
        continue;
      }
      Bytes content;
      content.reserve(part.range.length);
      other->files->read(
          *other->file, part.range,
          [&](ByteView piece) { content.insert(content.end(), piece.begin(), piece.end()); }, stop);
      StoodIn& report = stood_in_
                            .try_emplace(damage.object, StoodIn{.object = damage.object,
                                                                .problem = damage.error.message(),
                                                                .repository = others_[i].name})
                            .first->second;
      report.bytes += content.size();
      return content;
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kCancelled) throw;
      log_warning("a repository cannot stand in",
                  {{"repository", others_[i].name}, {"error", error.message()}});
    }
  }
  exhausted_ = true;
  throw damage.error;
}

std::optional<StandIns::Whole> StandIns::whole(const BackupInfo& backup,
                                               const std::stop_token& stop) {
  const std::lock_guard lock(mutex_);
  if (exhausted_) return std::nullopt;
  for (std::size_t i = 0; i < others_.size(); ++i) {
    if (const Twin* const other = twin(i, backup, stop)) {
      return Whole{others_[i].name, other->repository, other->backup};
    }
  }
  return std::nullopt;
}

std::vector<StoodIn> StandIns::stood_in() const {
  const std::lock_guard lock(mutex_);
  std::vector<StoodIn> all;
  for (const auto& [object, report] : stood_in_) all.push_back(report);
  return all;
}

}  // namespace holdfast
