#pragma once
// The record of a recovery: what it is to become, where it is, and each step with its start, end
// and result. It is the only memory of `recover`: every call reads it, does its step, and writes
// it.
//
//   <state directory>/recoveries/NAME.json     the record
//   <state directory>/recoveries/NAME.lock     held while somebody works on it
//   <state directory>/recoveries/ended/…json   records of recoveries that were abandoned
//   the folder that the record names           data, tablespaces, logs
//   /tmp/holdfast-XXXXXX/                      the server's socket and configuration
//
// Crashes: the record is replaced whole and durably before a step begins (without an end) and after
//   it ended. A step without an end whose lock nobody holds was interrupted: it is done again, and
//   each step can be. The folder is made after the record that names it, and goes before it; only
//   a folder with our mark is ever removed. So nothing is left that no record names, but for an
//   empty folder in /tmp.
// Two operators: a step is done under the lock (flock), so the second one is refused (kRefused),
//   and the kernel gives the lock back when a process dies, however it does. Reading needs no lock.
// Errors: kRefused; kNotFound for a name without a record; kHost; kDamage for a record that makes
//   no sense.
// Threads: one at a time.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "app/config.h"
#include "recover/database_checks.h"
#include "restore/recovery_target.h"
#include "system/files.h"

namespace holdfast {

struct RecoveryStep {
  enum class Result { kUnderWay, kDone, kFailed };
  std::string name;          // "restore", "replay", "check", …
  std::string began, ended;  // RFC 3339
  Result result = Result::kUnderWay;
  std::string detail;  // what was reached, or why it failed
  std::string by, host;
};
std::string_view to_string(RecoveryStep::Result result);  // "under way"

struct RecoveryVerdict {
  std::string time;  // RFC 3339
  std::string at;    // the LSN that the copy stood at
  std::string by;
  bool passed = false;  // and somebody has looked inside (app/copy_checks.h)
  std::vector<CheckResult> checks;
};

struct RecoveryApproval {
  std::string by, time, host;
};

// A standby of the promoted copy (app/new_standbys.h).
struct RecoveryStandby {
  std::filesystem::path data_directory, tablespaces;
  int port = 0;
  std::filesystem::path aside;  // where a rollback put it; empty: none did
  // Fewer were asked for later. What was built of it runs on, and a rollback must know of it.
  bool dropped = false;
};

// What a promotion (app/promotion.h) has to know of itself when it goes on after a crash.
struct RecoveryPromotion {
  std::string lost;             // why there is no backup of what is replaced; empty: there is one,
  std::string backup;           // this
  std::filesystem::path place;  // the cluster's data directory
  std::filesystem::path aside;  // where the replaced one goes; empty: there is none
  std::vector<std::string> start_options;         // of the replaced server
  std::vector<std::string> differing;             // configuration files in which the two differ
  std::uint64_t copy_device = 0, copy_inode = 0;  // of the copy's data directory, wherever it is
  std::uint64_t system_identifier = 0;            // of the copy and of what it replaces
  bool unarchived = false;                // the copy has WAL of its own that is archived nowhere
  std::string fresh_backup;               // of the new line, when it was taken
  std::vector<RecoveryStandby> standbys;  // that were ever asked for
};

struct RecoveryRecord {
  std::string name, cluster, began;
  std::string repository;               // its name in the configuration
  std::string as_of;                    // RFC 3339: as it was then; empty: as it is
  std::string backup, history;          // ids
  std::string followed;                 // the history whose WAL it replays
  std::filesystem::path folder;         // of the copy
  std::filesystem::path server_folder;  // of the socket; empty: none was made yet
  int major_version = 0;
  RecoveryTarget target;  // kLatest: to the end that the archive had when it was planned
  Lsn from, to;           // where replay begins, and as far as is known where it ends
  std::string restore_command;
  ObjectivesConfig objectives = {};   // of the configuration, when it began
  std::string last_transaction = {};  // the newest that was seen replayed, RFC 3339; empty: none
  std::vector<RecoveryStep> steps;
  std::optional<RecoveryVerdict> verdict;   // of the last check at the present target
  std::vector<RecoveryApproval> approvals;  // of that verdict
  std::optional<RecoveryPromotion> promotion;

  std::filesystem::path data_directory() const { return folder / "data"; }
  // Of all recoveries that ever had the name, this one.
  std::string lasting_name() const;
  bool has_begun(std::string_view step) const;
  bool has_done(std::string_view step) const;
  // The same since the last turn from promoting to rolling back, or back again.
  bool has_done_since_turn(std::string_view step) const;
  bool is_being_abandoned() const;
  // The copy is in production, and every standby that is still asked for follows it.
  bool is_promoted() const;
  bool is_being_rolled_back() const;  // or was, and nothing but its end came after that
  bool is_rolled_back() const;
};

nlohmann::ordered_json json_of(const RecoveryVerdict& verdict);  // docs/json.md
std::string to_json(const RecoveryRecord& record);
// What to do next with one whose promotion has begun: the commands, for people.
std::string next_of_promotion(const RecoveryRecord& record);
RecoveryRecord parse_recovery_record(const std::string& json, const std::string& place);

// Steps of a rollback have names of their own: "rollback: start server".
inline constexpr std::string_view kRollbackStep = "rollback: ";
inline constexpr std::string_view kLastRollbackStep = "rollback: start application";
inline constexpr std::string_view kLastPromotionStep = "back up";
std::string standby_step(std::size_t index);  // "standby 1", after that one
inline constexpr std::string_view kDefaultRecovery = "recovery";
inline constexpr std::string_view kRecoveryMark = "holdfast.recovery";  // in its folder

class RecoveryStore {
 public:
  explicit RecoveryStore(const Config& config);

  std::vector<std::string> names() const;
  // `name`, or the only one when it is empty.
  std::string resolve(const std::string& name) const;
  std::optional<RecoveryRecord> find(const std::string& name) const;
  RecoveryRecord read(const std::string& name) const;  // kNotFound
  void write(const RecoveryRecord& record) const;
  std::filesystem::path file_of(const std::string& name) const { return path_of(name); }
  // Of the readable report, without its suffix.
  std::filesystem::path report_stem(const RecoveryRecord& record) const;
  // The record of an abandoned recovery, out of the way of the next one of that name.
  std::filesystem::path retire(const RecoveryRecord& record) const;
  FileLock lock(const std::string& name) const;  // kRefused: somebody works on it
  // For what moves the cluster's own data directory, whichever recovery is the reason.
  FileLock lock_cluster() const;
  bool is_worked_on(const std::string& name) const;
  // Not the name alone: "ended" and "x.json" are names too.
  std::filesystem::path folder_of(const std::string& name) const {
    return folder_ / (name + ".copy");
  }

  // What root makes here is for the owner of the state directory, who goes on with it.
  void give_to_owner(const std::filesystem::path& path) const;

 private:
  std::filesystem::path path_of(const std::string& name) const;
  std::optional<FileLock> try_lock(const std::filesystem::path& path) const;

  std::filesystem::path folder_;
};

}  // namespace holdfast
