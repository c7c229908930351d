#include "wal/push.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <thread>

#include "core/cancellation.h"
#include "core/fault_point.h"
#include "wal/drop_ledger.h"
#include "wal/look_back.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kClaimPoll{2};
constexpr std::chrono::seconds kClaimPatience{60};
constexpr const char* kWayOut =
    "Nothing was overwritten. If this server is the one that goes on, run 'holdfast init "
    "--take-over': it then archives to a history of its own, and both lines stay restorable. If "
    "not, stop it before its disk fills.";

PushOptions checked(PushOptions options) {
  options.acknowledge = std::max<std::size_t>(options.acknowledge, 1);
  return options;
}

std::string stored_name(const ArchiveRepository& repository, const RepositoryId& id) {
  return fmt::format("{} {} {}", repository.name, repository.url, to_hex(id));
}

}  // namespace

fs::path data_directory_of(const fs::path& wal_file) {
  if (wal_file.empty()) throw Error(ErrorKind::kUsage, "the path of the WAL file is empty");
  const fs::path absolute = fs::absolute(wal_file).lexically_normal();
  const fs::path directory = absolute.parent_path().parent_path();
  std::error_code error;
  if (fs::exists(directory / kControlFilePath, error)) return directory;
  throw Error(ErrorKind::kUsage, "the file does not lie in pg_wal of a data directory",
              {.object = absolute.string(),
               .hint = "PostgreSQL gives the path: archive_command = '… archive-push \"%p\"'."});
}

Pusher::Pusher(Archive& archive, const PushOptions& options)
    : archive_(archive),
      options_(checked(options)),
      control_(read_control_file(options.data_directory).parsed),
      binding_(read_history_binding(options.data_directory)),
      spool_(options.state_directory) {
  require_taken_over(options.data_directory);
}

// What is remembered of this file with this content, of this server.
std::optional<PushEntry> Pusher::entry_of(const WalIdentity& identity) const {
  auto entry = spool_.find(identity.file.text);
  if (!entry || entry->cluster != options_.cluster || entry->file != identity.file.text ||
      entry->content != identity.content || entry->bytes != identity.bytes ||
      entry->history.system_identifier != identity.system_identifier) {
    return std::nullopt;
  }
  // A data directory that was set back to before its take-over writes another line again.
  if (entry->bound != binding_.has_value()) return std::nullopt;
  if (binding_ && (binding_->cluster != options_.cluster || binding_->history != entry->history)) {
    return std::nullopt;
  }
  return entry;
}

// A repository may have been made anew, set back or emptied since. An object under its name in the
// same repository is the one that was stored: none is ever replaced.
bool Pusher::still_has(std::size_t repository, const PushEntry& entry, const WalPlace& place,
                       const WalIdentity& identity, const std::stop_token& stop) {
  const std::string object = names::wal_object(place, identity.file, identity.content);
  try {
    const auto id = archive_.id_now(repository, stop);
    if (!id) return false;
    const std::string name = stored_name(archive_.about(repository), *id);
    if (std::ranges::find(entry.stored_in, name) == entry.stored_in.end()) return false;
    return archive_.store(repository, stop).head(object, stop).has_value();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kCancelled) throw;
    return false;  // the file is stored again, and that says what is wrong
  }
}

// A moment ago it was durable in as many repositories as are wanted. Who destroys one of them in
// that moment destroys what was acknowledged before as well.
bool Pusher::is_fresh(const PushEntry& entry) const {
  if (entry.age > kBelievedUnasked || archive_.size() < options_.acknowledge) return false;
  for (std::size_t i = 0; i < options_.acknowledge; ++i) {
    const std::string name = stored_name(archive_.about(i), {});
    const auto is_it = [&](const std::string& stored) {
      return stored.size() == name.size() &&
             stored.compare(0, name.rfind(' ') + 1, name, 0, name.rfind(' ') + 1) == 0;
    };
    if (std::ranges::none_of(entry.stored_in, is_it)) return false;
  }
  return true;
}

bool Pusher::remembered(const WalIdentity& identity, const std::stop_token& stop) {
  const auto entry = entry_of(identity);
  if (!entry) return false;
  if (is_fresh(*entry)) return true;
  const WalPlace place{options_.cluster, entry->history};
  std::size_t count = 0;
  for (std::size_t i = 0; i < archive_.size() && count < options_.acknowledge; ++i) {
    if (still_has(i, *entry, place, identity, stop)) {
      ++count;
    } else if (i == 0) {
      break;
    }
  }
  if (count >= options_.acknowledge) return true;
  spool_.forget(identity.file.text);
  return false;
}

PushReport Pusher::push(const fs::path& file, const std::function<void()>& before_waiting,
                        const std::stop_token& stop) {
  LocalWal wal(file, {control_.system_identifier, control_.wal_segment_size});
  const auto patience = std::chrono::steady_clock::now() + kClaimPatience;
  for (bool first = true;; first = false) {
    if (remembered(wal.identity(), stop)) {
      spool_.forget(wal.identity().file.text);
      return {.outcome = PushOutcome::kRemembered, .identity = wal.identity()};
    }
    if (first) before_waiting();
    const auto claim = spool_.try_claim(wal.identity().file.text);
    if (claim || std::chrono::steady_clock::now() > patience) {
      if (remembered(wal.identity(), stop)) continue;  // the helper has just finished it
      return look_back_and_store(wal, stop);
    }
    check_cancelled(stop);
    std::this_thread::sleep_for(kClaimPoll);
  }
}

// The look takes two requests, which are over while the file is compressed.
PushReport Pusher::look_back_and_store(LocalWal& wal, const std::stop_token& stop) {
  auto looked = std::async(std::launch::async, [&] { require_own_line(0, wal.identity(), stop); });
  const PackedWal packed = wal.pack(options_.compression);
  looked.get();
  return store(packed, nullptr, stop);
}

AheadOutcome Pusher::push_ahead(const fs::path& file, const PushTurn& turn,
                                const std::stop_token& stop) {
  const std::string name = file.filename().string();
  const auto claim = spool_.try_claim(name);
  if (!claim) return AheadOutcome::kElsewhere;
  std::error_code ignored;
  // PostgreSQL may have been answered, and have removed the file, since it was listed.
  if (spool_.find(name) || !fs::exists(file, ignored)) return AheadOutcome::kNotNeeded;
  LocalWal wal(file, {control_.system_identifier, control_.wal_segment_size});
  PushEntry entry{.cluster = options_.cluster,
                  .bound = binding_.has_value(),
                  .file = name,
                  .content = wal.identity().content,
                  .bytes = wal.identity().bytes};
  const PackedWal packed = wal.pack(options_.compression);
  archive_.require_same_repository_lately(0, stop);  // while the file before is being stored
  if (!turn.wait()) return AheadOutcome::kNotNeeded;
  if (!turn.follows_stored()) require_own_line(0, wal.identity(), stop);
  store(packed, &entry.stored_in, stop);
  entry.history = history_in(0, stop);
  fault_point("push.before_spool");
  spool_.remember(entry);
  return AheadOutcome::kStored;
}

HistoryName Pusher::history_in(std::size_t repository, const std::stop_token& stop) {
  const ClusterIdentity identity{.system_identifier = control_.system_identifier,
                                 .wal_segment_size = control_.wal_segment_size,
                                 .host = options_.host};
  return history_to_write(archive_.histories(repository, stop), options_.cluster, identity,
                          binding_)
      .name;
}

PushReport Pusher::store(const PackedWal& wal, std::vector<std::string>* stored_in,
                         const std::stop_token& stop) {
  PushReport report{.outcome = PushOutcome::kThereAlready, .identity = wal.identity};
  std::size_t stored = 0;
  for (std::size_t i = 0; i < archive_.size() && stored < options_.acknowledge; ++i) {
    try {
      if (stored_in != nullptr) archive_.require_same_repository_lately(i, stop);
      if (put(i, wal, stop) == WalPut::kCreated) report.outcome = PushOutcome::kStored;
      fault_point("push.stored");
      ++stored;
      if (stored_in != nullptr) {
        stored_in->push_back(
            stored_name(archive_.about(i), archive_.repository(i, stop).keys().repository_id));
      }
    } catch (const Error& error) {
      const std::size_t others = archive_.size() - i - 1;
      const bool cannot_be_enough = stored + others < options_.acknowledge;
      if (i == 0 || cannot_be_enough || error.kind() == ErrorKind::kCancelled) throw;
      report.failed.push_back(fmt::format("{}: {}", archive_.about(i).name, error.message()));
    }
  }
  return report;
}

WalPut Pusher::put(std::size_t repository, const PackedWal& wal, const std::stop_token& stop) {
  const WalPlace place{options_.cluster, history_in(repository, stop)};
  const WalPut outcome = put_wal(archive_.repository(repository, stop), place, wal, stop);
  if (outcome == WalPut::kOtherContent) refuse_other_content(repository, place, wal.identity);
  return outcome;
}

void Pusher::require_own_line(std::size_t repository, const WalIdentity& wal,
                              const std::stop_token& stop) {
  const auto segment = wal.file.kind == WalFileKind::kSegment
                           ? parse_segment_name(wal.file.text, wal.segment_size)
                           : std::nullopt;
  if (!segment) return;
  const LocalSegments local{.place = {options_.cluster, history_in(repository, stop)},
                            .segment_size = wal.segment_size,
                            .wal_directory = options_.data_directory / "pg_wal"};
  const auto other =
      other_line_before(archive_.repository(repository, stop), local, *segment, stop);
  if (!other) return;
  throw Error(
      ErrorKind::kRefused,
      fmt::format("the archive has {}, which is before this segment, with other content than this "
                  "server: another server wrote it, or this one was set back to an older state",
                  to_string(*other, wal.segment_size)),
      {.object = archive_.about(repository).url + "/" +
                 names::wal_segment(local.place, *other, wal.segment_size),
       .hint = kWayOut});
}

void Pusher::refuse_other_content(std::size_t repository, const WalPlace& place,
                                  const WalIdentity& wal) const {
  throw Error(
      ErrorKind::kRefused,
      fmt::format("the archive has {} with other content: another server wrote it, or this one was "
                  "set back to an older state",
                  wal.file.text),
      {.object =
           archive_.about(repository).url + "/" + names::wal_object(place, wal.file, wal.content),
       .hint = kWayOut});
}

void record_dropped_wal(Archive& archive, std::size_t repository, const PushOptions& options,
                        const std::stop_token& stop) {
  DropLedger ledger(options.state_directory);
  if (ledger.empty()) return;
  const ControlFile control = read_control_file(options.data_directory).parsed;
  const std::string& url = archive.about(repository).url;
  for (const DropEntry& entry : ledger.entries()) {
    if (std::ranges::find(entry.recorded_in, url) != entry.recorded_in.end()) continue;
    const ClusterIdentity identity{.system_identifier = control.system_identifier,
                                   .wal_segment_size = control.wal_segment_size,
                                   .host = options.host};
    const HistoryName history =
        history_to_write(archive.histories(repository, stop), options.cluster, identity,
                         read_history_binding(options.data_directory))
            .name;
    write_dropped_wal(archive.repository(repository, stop), {options.cluster, history}, entry.what,
                      stop);
    ledger.recorded(entry.what, url);
  }
}

}  // namespace holdfast
