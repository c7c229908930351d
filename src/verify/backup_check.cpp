#include "verify/backup_check.h"

#include <algorithm>
#include <numeric>

#include "core/parallel.h"
#include "postgres/wal_segment.h"
#include "verify/file_reader.h"
#include "verify/needed_wal.h"

namespace holdfast {
namespace {

// Packs whose chunk tables are built before their size is looked at again.
constexpr std::size_t kPacksAtOnce = 64;
// A WAL segment is looked at in one piece; larger ones are left to the keyed hashes alone.
constexpr std::uint64_t kMaxSegmentBytes = std::uint64_t{64} << 20U;
constexpr std::string_view kWalFolder = "pg_wal/";

}  // namespace

BackupCheck::BackupCheck(const Repository& repository, const CatalogueEntry& backup,
                         const VerifyOptions& options, Findings& findings, Progress& progress,
                         const std::stop_token& stop)
    : repository_(repository),
      backup_(backup),
      options_(options),
      findings_(findings),
      progress_(progress),
      stop_(stop),
      chunks_(repository.store(), repository.keys(), backup.name.cluster) {}

std::size_t BackupCheck::pack_threads(const ManifestRoot& root) const {
  std::uint64_t largest = 1;
  for (const CitedPack& pack : root.packs) largest = std::max<std::uint64_t>(largest, pack.bytes);
  // Half is for tables of chunks, the walk and the program itself.
  const std::size_t fits = std::max<std::size_t>(1, options_.memory_bytes / 2 / largest);
  return std::min(fits,
                  std::max(options_.jobs, repository_.store().capabilities().parallel_requests));
}

std::size_t BackupCheck::chunk_threads() const {
  const std::size_t fits =
      std::max<std::size_t>(1, options_.memory_bytes / 2 / (kReadBytes + kMaxChunkPlainBytes));
  return std::min(fits,
                  std::max(options_.jobs, repository_.store().capabilities().parallel_requests));
}

void BackupCheck::run(VerifiedBackup& verified, std::vector<std::string>& warnings) {
  ++verified.objects;  // the manifest
  verified.bytes += backup_.outcome.manifest_bytes;
  std::optional<Manifest> manifest;
  try {
    manifest.emplace(read_manifest(repository_, backup_.outcome, chunks_.registry(), stop_),
                     chunks_);
  } catch (const Error& error) {
    if (!condemns_one_object(error.kind())) throw;
    findings_.add(names::manifest(backup_.name),
                  error.message() + "; nothing of this backup can be read without it");
    return;
  }
  for (const CitedPack& pack : manifest->root().packs) {
    cited_.insert(pack.pack);
    verified.bytes += pack.bytes;
  }
  verified.objects += cited_.size();
  progress_.phase("verify " + backup_.name.id.text, verified.bytes);
  if (options_.mode == VerifyMode::kQuick) {
    check_sizes(manifest->root());
  } else {
    check_packs(*manifest);
  }
  if (options_.mode == VerifyMode::kDeep) check_deep(*manifest, verified, warnings);
  verified.objects += check_needed_wal(repository_, manifest->info(), options_, findings_, stop_);
}

void BackupCheck::check_sizes(const ManifestRoot& root) {
  // By the backup that wrote them: one listing each.
  std::map<std::string, std::map<std::string, std::uint32_t>> expected;
  for (const CitedPack& pack : root.packs) {
    const PackRef& ref = chunks_.registry().at(pack.pack);
    const BackupName writer{backup_.name.cluster, ref.history, ref.backup};
    expected[names::backup_prefix(writer)][chunks_.pack_name(pack.pack)] = pack.bytes;
  }
  for (auto& [prefix, packs] : expected) {
    for_each_object(repository_.store(), prefix, stop_, [&](const ObjectInfo& object) {
      const auto at = packs.find(object.name);
      if (at == packs.end()) return;
      if (object.size != at->second) {
        findings_.add(object.name,
                      fmt::format("it is {} bytes long, and was {} when it was written",
                                  object.size, at->second));
      }
      packs.erase(at);
    });
    for (const auto& [name, bytes] : packs) {
      findings_.add(name, "missing: a pack that the backup needs");
    }
  }
}

void BackupCheck::check_packs(Manifest& manifest) {
  const std::size_t packs = manifest.root().packs.size();
  std::size_t first = 0;
  do {
    first = check_round(manifest, first);
  } while (first < packs);
}

// Packs from `first` on, as many as the memory for their tables allows; returns where to go on.
std::size_t BackupCheck::check_round(Manifest& manifest, std::size_t first) {
  const std::vector<CitedPack>& all = manifest.root().packs;
  const PackChecker checker(repository_, chunks_, findings_);
  CheckedPacks checked;
  std::uint64_t table_bytes = 0;
  std::size_t next = first;
  while (next < all.size() && table_bytes < options_.memory_bytes / 8) {
    const std::size_t count = std::min(kPacksAtOnce, all.size() - next);
    std::vector<CheckedPack> results(count);
    parallel_for(count, pack_threads(manifest.root()), stop_,
                 [&](std::size_t i, const std::stop_token& inner) {
                   results[i] = checker.check(all[next + i], inner);
                   progress_.advance(all[next + i].bytes);
                 });
    for (std::size_t i = 0; i < count; ++i) {
      table_bytes += results[i].chunks.size() * sizeof(ChunkPlace);
      checked[all[next + i].pack] = std::move(results[i]);
    }
    next += count;
  }
  if (options_.mode == VerifyMode::kDeep) return next;  // the walk of check_deep() sees more
  PlaceCheck places(chunks_, findings_, checked, cited_);
  const auto report = first == 0 ? WalkOptions::Report::kYes : WalkOptions::Report::kNo;
  ContentWalk(manifest, chunks_, findings_, {.threads = chunk_threads(), .report = report})
      .run([&](const std::vector<WalkedSlice>& slices) { places.check(slices, stop_); }, stop_);
  return next;
}

void BackupCheck::check_deep(Manifest& manifest, VerifiedBackup& verified,
                             std::vector<std::string>& warnings) {
  progress_.phase("compare " + backup_.name.id.text, manifest.info().data_bytes);
  DeepCheck deep(page_hasher_of(repository_, manifest.root()), chunks_, findings_, manifest.info(),
                 chunk_threads());
  ContentWalk(manifest, chunks_, findings_, {.threads = chunk_threads()})
      .run([&](const std::vector<WalkedSlice>& slices) { deep.check(slices, progress_, stop_); },
           stop_);
  verified.pages = deep.pages();
  check_wal(manifest, warnings);
}

void BackupCheck::check_wal(Manifest& manifest, std::vector<std::string>& warnings) {
  const WalSegmentSize size = manifest.info().wal_segment_size;
  for (const FilePageRef& page : manifest.root().pages[std::size_t(Section::kFinal)]) {
    try {
      for (const FileEntry& file : manifest.read_page(page, stop_)) {
        if (!file.path.starts_with(kWalFolder)) continue;
        const auto name = parse_segment_name(file.path.substr(kWalFolder.size()), size);
        if (!name) continue;
        if (file.size > kMaxSegmentBytes) {
          warnings.push_back("the page headers of large WAL segments are not looked at: " +
                             file.path);
          continue;
        }
        check_segment(manifest, file, *name);
      }
    } catch (const Error& error) {
      // Chunks that cannot be read are findings of the walk already.
      if (!condemns_one_object(error.kind())) throw;
    }
  }
}

void BackupCheck::check_segment(Manifest& manifest, const FileEntry& file, SegmentName name) {
  const BackupInfo& info = manifest.info();
  Bytes content;
  content.reserve(file.size);
  FileReader(manifest, chunks_, page_hasher_of(repository_, manifest.root()))
      .read(
          file, {0, file.size},
          [&](ByteView part) { content.insert(content.end(), part.begin(), part.end()); }, stop_);
  const Lsn end{std::min(info.stop_lsn.value, start_of(name, info.wal_segment_size).value +
                                                  info.wal_segment_size.bytes)};
  const auto wrong = check_wal_pages(content, name, info.wal_segment_size,
                                     info.name.history.system_identifier, end);
  if (!wrong) return;
  findings_.add_loss(names::manifest(backup_.name),
                     {"the backup carries WAL that is not usable: " + *wrong,
                      file.path,
                      {0, (file.size + kBlockBytes - 1) / kBlockBytes}});
}

}  // namespace holdfast
