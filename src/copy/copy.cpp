#include "copy/copy.h"

#include <algorithm>
#include <map>

#include <unistd.h>

#include "copy/pack_copier.h"
#include "copy/standalone.h"
#include "copy/wal_copier.h"
#include "core/error.h"
#include "core/fault_point.h"
#include "repository/history.h"
#include "repository/intent.h"
#include "repository/tombstone.h"
#include "repository/wal_mark.h"
#include "repository/write_once.h"

namespace holdfast {
namespace {

// How often the maps of a standalone copy are written when another copy takes the same names.
constexpr int kMapAttempts = 3;

bool cites_others(const ManifestRoot& root, const PackRegistry& registry) {
  return std::ranges::any_of(root.packs, [&](const CitedPack& cited) {
    const PackRef& pack = registry.at(cited.pack);
    return !(pack.history == root.info.name.history && pack.backup == root.info.name.id);
  });
}

std::vector<PackMove> plain_moves(const ManifestRoot& root, const PackRegistry& registry) {
  std::vector<PackMove> moves;
  for (const CitedPack& cited : root.packs) {
    const PackRef& pack = registry.at(cited.pack);
    moves.push_back({pack, pack, cited.bytes});
  }
  return moves;
}

// One copy of one backup. Steps run in the order of the methods.
class CopyRun {
 public:
  // `counted`: where WAL is only counted, for a plan.
  CopyRun(const CopySides& sides, const CatalogueEntry& backup, const CopyOptions& options,
          CountedWal* counted, Progress& progress, const std::stop_token& stop)
      : sides_(sides),
        options_(options),
        progress_(progress),
        stop_(stop),
        name_(backup.name),
        chunks_(sides.from.store(), sides.from.keys(), backup.name.cluster),
        source_(read_manifest(sides.from, backup.outcome, chunks_.registry(), stop), chunks_),
        form_(options.form),
        wal_(sides, source_.info(), options, counted) {
    result_.name = name_;
  }

  CopiedBackup run();
  CopyPlan plan();

 private:
  bool is_there();
  void note_form(const ManifestRoot& there, const PackRegistry& registry);
  void adopt_histories();
  void begin();
  std::vector<BackupName> cited_folders() const;
  void protect_cited();
  void choose_form();
  void copy_packs();
  void count_packs(CopyPlan& plan);
  void copy_wal();
  Outcome store_manifest();
  ManifestRoot root_of_copy(const PackRegistry*& registry);
  ManifestRoot write_standalone(const PackRegistry*& registry);
  Bytes seal_manifest(ManifestRoot root, const PackRegistry& registry) const;
  std::optional<Outcome> undecided();
  Outcome outcome_of(ByteView manifest) const;
  ManifestRoot check_manifest(const Outcome& outcome);
  void commit(Outcome outcome);
  void copy_onward();

  // What the form comes down to: a backup that is self-contained already is copied as it is.
  bool rewrites() const {
    return form_ == CopyForm::kStandalone &&
           (!source_.info().standalone || cites_others(source_.root(), chunks_.registry()));
  }
  std::vector<PackMove> moves() const {
    return rewrites() ? standalone_moves(source_.root(), chunks_.registry())
                      : plain_moves(source_.root(), chunks_.registry());
  }

  const CopySides& sides_;
  const CopyOptions& options_;
  Progress& progress_;
  const std::stop_token& stop_;
  const BackupName name_;
  ChunkReader chunks_;
  Manifest source_;
  CopyForm form_;
  std::vector<HistoryRecord> histories_;  // of the source
  std::vector<PackMove> moves_;
  std::unique_ptr<StandaloneWriter> standalone_;
  WalCopier wal_;
  CopiedBackup result_;
};

// Whether the target has this backup; kRefused when it had it.
bool CopyRun::is_there() {
  if (const auto refusal = never_again(sides_.to, name_, stop_)) throw *refusal;
  const auto outcome = read_outcome(sides_.to, name_, stop_);
  if (!outcome) return false;
  PackRegistry registry;
  note_form(read_manifest(sides_.to, *outcome, registry, stop_), registry);
  return true;
}

void CopyRun::note_form(const ManifestRoot& there, const PackRegistry& registry) {
  const bool alone = there.info.standalone && !cites_others(there, registry);
  result_.form = alone ? CopyForm::kStandalone : CopyForm::kPlain;
  if (form_ == CopyForm::kStandalone && !alone) {
    result_.warnings.push_back(fmt::format(
        "backup {} is in the target already, as a plain copy that needs archived WAL or packs of "
        "other backups; a standalone one cannot stand beside it under the same id",
        name_.id.text));
  }
}

void CopyRun::adopt_histories() {
  const bool onward = options_.wal == CopiedWal::kOnward;
  for (const HistoryRecord& record : histories_) {
    const auto in_line = [&](const HistoryName& of, const HistoryName& history) {
      return std::ranges::any_of(line_of(histories_, of),
                                 [&](const LineStep& step) { return step.history == history; });
    };
    if (in_line(name_.history, record.name) || (onward && in_line(record.name, name_.history))) {
      adopt_history(sides_.to, name_.cluster, record, stop_);
    }
  }
}

void CopyRun::begin() {
  if (sides_.to.store().head(names::begin(name_), stop_)) return;  // of an earlier attempt
  try {
    write_begin(sides_.to, name_,
                {.host = options_.host,
                 .pid = static_cast<std::uint64_t>(::getpid()),
                 .data_directory = "",  // none: no lock of a server stands behind it
                 .started = to_rfc3339_seconds(system_clock().now())},
                stop_);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kRefused) throw;  // another copy begins at this moment
  }
  fault_point("copy.begun");
}

// Folders of other backups whose packs the copy will cite.
std::vector<BackupName> CopyRun::cited_folders() const {
  std::map<std::string, BackupName> cited;
  for (const PackMove& move : moves()) {
    const BackupName folder{name_.cluster, move.to.history, move.to.backup};
    if (!(folder == name_)) cited.emplace(names::backup_prefix(folder), folder);
  }
  std::vector<BackupName> folders;
  for (const auto& [prefix, folder] : cited) folders.push_back(folder);
  return folders;
}

// Intents first, then the question of choose_form(): see repository/intent.h.
void CopyRun::protect_cited() {
  if (rewrites()) return;
  for (const BackupName& folder : cited_folders()) {
    write_intent(sides_.to, {.cited = folder, .citing = name_}, stop_);
  }
  fault_point("copy.intents_written");
}

// Standalone where something in the target is going that a plain copy would rely on: packs of other
// backups, or WAL (repository/wal_mark.h).
void CopyRun::choose_form() {
  if (rewrites()) return;
  for (const BackupName& folder : cited_folders()) {
    if (!is_tombstoned(sides_.to, folder, stop_)) continue;
    result_.warnings.push_back(fmt::format(
        "backup {} needs packs of {}, which was deleted from the target or is going to be: it is "
        "copied as a standalone backup instead",
        name_.id.text, folder.id.text));
    form_ = CopyForm::kStandalone;
    return;
  }
  const BackupInfo& info = source_.info();
  if (info.standalone) return;
  const std::uint64_t bytes = info.wal_segment_size.bytes;
  if (!wal_is_going(sides_.to, {name_.cluster, name_.history},
                    {info.start_lsn.value / bytes, info.stop_lsn.value / bytes}, stop_)) {
    return;
  }
  result_.warnings.push_back(fmt::format(
      "WAL that backup {} needs was expired from the target or is going to be: it is copied as a "
      "standalone backup instead",
      name_.id.text));
  form_ = CopyForm::kStandalone;
}

void CopyRun::copy_packs() {
  moves_ = moves();
  std::uint64_t bytes = 0;
  for (const PackMove& move : moves_) bytes += move.bytes;
  progress_.phase("copy " + name_.id.text, bytes);
  const PackCopier::Counts counts =
      PackCopier(sides_, name_.cluster, options_, progress_).copy(moves_, stop_);
  result_.packs_copied += counts.copied;
  result_.packs_there += counts.there;
  result_.bytes_copied += counts.bytes;
  fault_point("copy.packs_stored");
}

void CopyRun::copy_wal() {
  if (rewrites() || source_.info().standalone) return;
  progress_.phase("wal " + name_.id.text, 0);
  wal_.needed(wal_line(name_.cluster, histories_, name_.history), stop_);
}

void CopyRun::copy_onward() {
  if (options_.wal != CopiedWal::kOnward) return;
  progress_.phase("wal behind " + name_.id.text, 0);
  std::vector<HistoryName> descendants;
  for (const HistoryRecord& record : histories_) {
    const auto line = line_of(histories_, record.name);
    if (std::ranges::find(line, name_.history, &LineStep::history) != line.end()) {
      descendants.push_back(record.name);
    }
  }
  wal_.onward(descendants, stop_);
}

ManifestRoot CopyRun::write_standalone(const PackRegistry*& registry) {
  const WalLine line = wal_line(name_.cluster, histories_, name_.history);
  progress_.phase("maps " + name_.id.text, 0);
  for (int attempt = 1;; ++attempt) {
    standalone_ =
        std::make_unique<StandaloneWriter>(sides_, source_, chunks_, moves_, options_, progress_);
    registry = &standalone_->registry();
    try {
      return standalone_->write(line, stop_);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kRefused || attempt == kMapAttempts) throw;
    }
  }
}

ManifestRoot CopyRun::root_of_copy(const PackRegistry*& registry) {
  if (rewrites()) return write_standalone(registry);
  registry = &chunks_.registry();
  return source_.root();
}

Bytes CopyRun::seal_manifest(ManifestRoot root, const PackRegistry& registry) const {
  const Secret hash_key = source_.root().hash_key.value_or(sides_.from.page_hash_key());
  root.hash_key.reset();
  if (root.info.page_hash_key != sides_.to.page_hasher().key_name()) root.hash_key = hash_key;
  root.info.encryption = sides_.to.keys().cipher == Cipher::kNone ? "none" : "aes-256-gcm";
  root.info.copied_from = CopyFacts{.repository_id = to_hex(sides_.from.keys().repository_id),
                                    .repository = options_.from_name,
                                    .time = to_rfc3339_seconds(system_clock().now())};
  return seal_record(ContainerKind::kManifest, sides_.to.keys(), sides_.to.keys().cipher,
                     encode_manifest_root(root, registry));
}

Outcome CopyRun::outcome_of(ByteView manifest) const {
  Outcome outcome{.committed = true,
                  .time = to_rfc3339_seconds(system_clock().now()),
                  .by = fmt::format("{} process {}, copy", options_.host, ::getpid()),
                  .manifest_bytes = manifest.size(),
                  .manifest_sha256 = to_hex(sha256(manifest))};
  outcome.info.name = name_;
  return outcome;
}

// Of an earlier attempt that got as far as its manifest, or of one that is as far right now.
std::optional<Outcome> CopyRun::undecided() {
  const auto manifest = sides_.to.store().get(names::manifest(name_), stop_);
  if (!manifest) return std::nullopt;
  return outcome_of(*manifest);
}

Outcome CopyRun::store_manifest() {
  const PackRegistry* registry = nullptr;
  const ManifestRoot root = root_of_copy(registry);
  const Bytes manifest = seal_manifest(root, *registry);
  const auto stored = try_put_once(sides_.to.store(), names::manifest(name_), manifest,
                                   ObjectClass::kCatalogue, stop_);
  fault_point("copy.manifest_stored");
  if (stored != WriteOnceOutcome::kOtherContent) return outcome_of(manifest);
  return undecided().value();  // another copy was first: its packs are the same
}

// Reads back what is going to be committed.
ManifestRoot CopyRun::check_manifest(const Outcome& outcome) {
  PackRegistry registry;
  ManifestRoot root = read_manifest(sides_.to, outcome, registry, stop_);
  PackCopier(sides_, name_.cluster, options_, progress_)
      .check_stored(plain_moves(root, registry), stop_);
  note_form(root, registry);
  return root;
}

void CopyRun::commit(Outcome outcome) {
  progress_.phase("commit " + name_.id.text, 0);
  outcome.info = check_manifest(outcome).info;
  fault_point("copy.before_commit");
  try {
    commit_backup(sides_.to, outcome, stop_);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kRefused) throw;
    const auto decided = read_outcome(sides_.to, name_, stop_);
    if (!decided || !decided->committed) throw;  // swept meanwhile
    result_.state = CopiedBackup::State::kThereAlready;
  }
  fault_point("copy.committed");
}

CopiedBackup CopyRun::run() {
  histories_ = list_histories(sides_.from, name_.cluster, stop_);
  adopt_histories();
  if (is_there()) {
    result_.state = CopiedBackup::State::kThereAlready;
  } else if (auto half_way = undecided()) {
    commit(std::move(*half_way));
  } else {
    begin();
    protect_cited();
    choose_form();
    copy_packs();
    copy_wal();
    commit(store_manifest());
  }
  copy_onward();
  result_.wal_copied = wal_.counts().copied;
  result_.wal_there = wal_.counts().there;
  return std::move(result_);
}

void CopyRun::count_packs(CopyPlan& plan) {
  moves_ = moves();
  const PackSizes there = list_packs(sides_.to, name_.cluster, moves_, stop_);
  for (const PackMove& move : moves_) {
    const std::string name =
        names::pack({name_.cluster, move.to.history, move.to.backup}, move.to.kind, move.to.number);
    if (there.contains(name)) {
      ++plan.packs_there;
    } else {
      ++plan.packs_missing;
      plan.bytes_missing += move.bytes;
    }
  }
}

CopyPlan CopyRun::plan() {
  histories_ = list_histories(sides_.from, name_.cluster, stop_);
  CopyPlan plan{.name = name_};
  if (is_there()) {
    plan.state = CopiedBackup::State::kThereAlready;
    plan.form = result_.form;
  } else if (const auto half_way = undecided()) {
    check_manifest(*half_way);  // with it, all packs and the WAL that it needs are there
    plan.form = result_.form;
  } else {
    choose_form();
    plan.form = form_;
    count_packs(plan);
    copy_wal();
  }
  copy_onward();
  plan.wal_missing = wal_.counts().copied;
  plan.wal_there = wal_.counts().there;
  plan.warnings = std::move(result_.warnings);
  return plan;
}

}  // namespace

std::string_view to_string(CopyForm form) {
  return form == CopyForm::kPlain ? "plain" : "standalone";
}

std::string_view to_string(CopiedBackup::State state) {
  return state == CopiedBackup::State::kCopied ? "copied" : "there already";
}

std::optional<Error> never_again(const Repository& target, const BackupName& backup,
                                 const std::stop_token& stop) {
  const auto outcome = read_outcome(target, backup, stop);
  if (outcome && !outcome->committed) {
    return Error(
        ErrorKind::kRefused,
        "an earlier copy of this backup died, and what it had stored was swept",
        {.object = names::outcome(backup),
         .hint = "This id cannot be used in that repository again, so that a copy that was "
                 "only paused cannot commit over missing packs. Copy another backup."});
  }
  if (!is_tombstoned(target, backup, stop)) return std::nullopt;
  return Error(ErrorKind::kRefused, "this backup was deleted from the target, or is going to be",
               {.object = names::backup_prefix(backup),
                .hint = "What was deleted is not copied again. If its deletion has not begun, "
                        "'holdfast hold' in that repository brings it back."});
}

CopiedBackup copy_backup(const CopySides& sides, const CatalogueEntry& backup,
                         const CopyOptions& options, Progress& progress,
                         const std::stop_token& stop) {
  return CopyRun(sides, backup, options, nullptr, progress, stop).run();
}

CopyPlan plan_copy(const CopySides& sides, const CatalogueEntry& backup, const CopyOptions& options,
                   CountedWal& counted, const std::stop_token& stop) {
  return CopyRun(sides, backup, options, &counted, null_progress(), stop).plan();
}

}  // namespace holdfast
