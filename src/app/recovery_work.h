#pragma once
// One operator's work on one recovery, under its lock: the record, its steps, and the server on the
// copy (recover/detached_server.h). Used by app/recovery.h and app/promotion.h.
//
// Crashes: step() writes the record before the work and after it (app/recovery_record.h).
// Errors: those of the work, after they were written down; kRefused where the recovery is not in a
//   state for it. Lifetime: everything given to the constructor outlives it. Threads: one.

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "app/config.h"
#include "app/recovery_record.h"
#include "core/progress.h"
#include "recover/detached_server.h"

namespace holdfast {

std::string operator_name();  // who called: of sudo, the one behind it
std::string recovery_time_now();

// Where the cluster's data directory lies: what postgres.data_directory leads to, also where it is
// a symbolic link to what is lost. Empty when it is not configured.
std::filesystem::path place_of_cluster(const Config& config);

CopyServerOptions copy_server_options(const Config& config, const RecoveryRecord& record);
std::string describe(const DetachedServer::Position& position);  // "paused at 0/3000148, …"

class RecoveryWork {
 public:
  RecoveryWork(const Config& config, RecoveryStore& store, RecoveryRecord record,
               Progress& progress, const std::stop_token& stop);

  const RecoveryRecord& record() const { return record_; }
  RecoveryRecord& change() { return record_; }
  void save() const { store_.write(record_); }

  // Runs `work`, which returns what was reached, between two writes of the record.
  void step(std::string name, const std::function<std::string()>& work);

  DetachedServer& server();
  // The settings of the record count, whatever a restore or an earlier target left behind.
  void start_server(CopyWal wal = CopyWal::kForgotten);
  // Until the copy stands at its target; says where that is.
  std::string await_target();

  // What may be done with a copy only where it stands at its target.
  DetachedServer::Position require_paused();
  void refuse_abandoned() const;
  // The copy is another thing from then on.
  void refuse_promoted() const;
  bool was_interrupted_in(std::string_view step) const;

 private:
  void end_step(RecoveryStep::Result result, std::string detail);
  bool stands_at_target(const DetachedServer::Position& position);
  bool is_at_end(const DetachedServer::Position& position) const;
  void watch_for_starving(const DetachedServer::Position& position);

  const Config& config_;
  RecoveryStore& store_;
  RecoveryRecord record_;
  Progress& progress_;
  const std::stop_token& stop_;
  std::optional<DetachedServer> server_;
  int unanswered_ = 0;
  CopyWal wal_ = CopyWal::kForgotten;  // what it was started with
  bool started_ = false;               // the server, by this call
  Lsn replayed_;
  std::chrono::steady_clock::time_point fed_;  // when replay last had WAL to work on
};

}  // namespace holdfast
