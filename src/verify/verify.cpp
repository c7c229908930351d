#include "verify/verify.h"

#include <algorithm>
#include <chrono>
#include <functional>

#include "repository/history.h"
#include "repository/key_slots_json.h"
#include "repository/proof.h"
#include "verify/backup_check.h"

namespace holdfast {
namespace {

class VerifyRun {
 public:
  VerifyRun(const Repository& repository, const VerifyOptions& options, Progress& progress,
            const std::stop_token& stop)
      : repository_(repository), options_(options), progress_(progress), stop_(stop) {}

  VerifyResult run(const std::vector<CatalogueEntry>& backups);

 private:
  void check_repository();
  void check_histories(const std::vector<CatalogueEntry>& backups);
  void check_backup(const CatalogueEntry& backup);
  void check_records(const CatalogueEntry& backup, VerifiedBackup& verified);
  void check_unfinished(const CatalogueEntry& backup);
  void check_proofs(const CatalogueEntry& backup, VerifiedBackup& verified);
  void store_proof(VerifiedBackup& verified, double seconds);
  // Runs `read`; what it says about the object becomes a finding.
  void examine(const std::string& object, const std::function<void()>& read);

  const Repository& repository_;
  const VerifyOptions& options_;
  Progress& progress_;
  const std::stop_token& stop_;
  Findings findings_;
  VerifyResult result_;
};

double seconds_since(std::chrono::steady_clock::time_point began) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

void VerifyRun::examine(const std::string& object, const std::function<void()>& read) {
  try {
    read();
  } catch (const Error& error) {
    if (!condemns_one_object(error.kind())) throw;
    findings_.add(object, error.message());
  }
}

VerifyResult VerifyRun::run(const std::vector<CatalogueEntry>& backups) {
  const auto began = std::chrono::steady_clock::now();
  result_.mode = options_.mode;
  check_repository();
  check_histories(backups);
  for (const CatalogueEntry& backup : backups) {
    // Of these, objects are being removed, or there is no backup at all.
    if (backup.state == BackupState::kExpiring || backup.state == BackupState::kPacksOnly) continue;
    check_backup(backup);
  }
  for (const VerifiedBackup& verified : result_.backups) {
    result_.objects += verified.objects;
    result_.bytes += verified.bytes;
  }
  result_.damaged_objects = findings_.count();
  result_.findings = findings_.take();
  result_.duration_seconds = seconds_since(began);
  return std::move(result_);
}

void VerifyRun::check_repository() {
  ObjectStore& store = repository_.store();
  ++result_.objects;
  // Opening the repository proved the descriptor; it is read again so that nothing that was true a
  // moment ago is taken for granted.
  examine(names::kDescriptor, [&] {
    auto object = store.get(names::kDescriptor, stop_);
    if (!object) throw Error(ErrorKind::kDamage, "missing: the descriptor of the repository");
    open_record(ContainerKind::kDescriptor, repository_.keys(), std::move(*object),
                names::kDescriptor);
  });
  std::vector<std::string> generations;
  for_each_object(store, names::kKeysPrefix, stop_, [&](const ObjectInfo& object) {
    if (names::parse_key_generation(object.name)) generations.push_back(object.name);
  });
  for (const std::string& name : generations) {
    ++result_.objects;
    examine(name, [&] {
      auto object = store.get(name, stop_);
      if (!object) return;  // a change of keys removed it just now
      RepositoryId id{};
      decode_key_generation(std::move(*object), name, &id);
      if (id != repository_.keys().repository_id) {
        throw Error(ErrorKind::kDamage, "it belongs to another repository");
      }
    });
  }
}

void VerifyRun::check_histories(const std::vector<CatalogueEntry>& backups) {
  std::vector<HistoryName> histories;
  for (const CatalogueEntry& backup : backups) {
    if (std::ranges::find(histories, backup.name.history) == histories.end()) {
      histories.push_back(backup.name.history);
    }
  }
  for (const HistoryName& name : histories) {
    ++result_.objects;
    examine(names::history(options_.cluster, name),
            [&] { read_history(repository_, options_.cluster, name, stop_); });
  }
}

void VerifyRun::check_backup(const CatalogueEntry& backup) {
  const auto began = std::chrono::steady_clock::now();
  const std::size_t before = findings_.count();
  findings_.set_backup(backup.name.id.text);
  VerifiedBackup verified{.name = backup.name, .state = backup.state};
  check_records(backup, verified);
  if (backup.state == BackupState::kUnfinished) check_unfinished(backup);
  if (backup.state == BackupState::kCommitted) {
    BackupCheck(repository_, backup, options_, findings_, progress_, stop_)
        .run(verified, result_.warnings);
  }
  verified.damaged_objects = findings_.count() - before;
  if (backup.state == BackupState::kCommitted) store_proof(verified, seconds_since(began));
  findings_.set_backup({});
  result_.backups.push_back(std::move(verified));
}

void VerifyRun::check_records(const CatalogueEntry& backup, VerifiedBackup& verified) {
  ++verified.objects;
  const std::string begin = names::begin(backup.name);
  examine(begin, [&] {
    if (!read_begin(repository_, backup.name, stop_)) {
      throw Error(ErrorKind::kDamage, "missing: the record that a backup begins with");
    }
  });
  if (backup.state == BackupState::kUnfinished) return;
  ++verified.objects;
  const std::string outcome = names::outcome(backup.name);
  examine(outcome, [&] {
    if (!read_outcome(repository_, backup.name, stop_)) {
      throw Error(ErrorKind::kDamage, "missing: the commit record");
    }
  });
  if (options_.mode != VerifyMode::kQuick) check_proofs(backup, verified);
}

void VerifyRun::check_unfinished(const CatalogueEntry& backup) {
  // The commit record follows the manifest within a moment. Look at it last: the backup may be
  // committing right now.
  ObjectStore& store = repository_.store();
  const bool has_manifest = store.head(names::manifest(backup.name), stop_).has_value();
  const bool was_verified = !list_proofs(repository_, backup.name, stop_).empty();
  if (!has_manifest && !was_verified) return;
  const std::string outcome = names::outcome(backup.name);
  if (store.head(outcome, stop_)) return;
  findings_.add(outcome, was_verified
                             ? "missing: the commit record of a backup that was verified before"
                             : "missing: the backup has a manifest but no commit record, so it was "
                               "ended at the last moment, or the record is lost");
}

void VerifyRun::check_proofs(const CatalogueEntry& backup, VerifiedBackup& verified) {
  for (const std::uint32_t number : list_proofs(repository_, backup.name, stop_)) {
    ++verified.objects;
    examine(names::proof(backup.name, number),
            [&] { read_proof(repository_, backup.name, number, stop_); });
  }
}

void VerifyRun::store_proof(VerifiedBackup& verified, double seconds) {
  ProofRecord proof{.time = to_rfc3339_seconds(system_clock().now()),
                    .mode = std::string(to_string(options_.mode)),
                    .ok = verified.damaged_objects == 0,
                    .objects = verified.objects,
                    .bytes = verified.bytes,
                    .damaged_objects = verified.damaged_objects,
                    .damaged = findings_.objects_of(verified.name.id.text, kMaxProofObjects),
                    .duration_seconds = seconds,
                    .host = options_.host,
                    .holdfast_version = options_.holdfast_version};
  try {
    verified.proof = write_proof(repository_, verified.name, std::move(proof), stop_);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kCancelled || error.kind() == ErrorKind::kBug) throw;
    result_.warnings.push_back(fmt::format("the result could not be stored as proof of {}: {}",
                                           verified.name.id.text, error.message()));
  }
}

}  // namespace

std::string_view to_string(VerifyMode mode) {
  switch (mode) {
    case VerifyMode::kQuick:
      return "quick";
    case VerifyMode::kFull:
      return "full";
    case VerifyMode::kDeep:
      return "deep";
  }
  return "full";
}

VerifyResult verify_backups(const Repository& repository,
                            const std::vector<CatalogueEntry>& backups,
                            const VerifyOptions& options, Progress& progress,
                            const std::stop_token& stop) {
  return VerifyRun(repository, options, progress, stop).run(backups);
}

}  // namespace holdfast
