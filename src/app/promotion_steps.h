#pragma once
// The steps of a promotion and of a rollback (app/promotion.h), in their order. Each looks at what
// is there before it does anything, so that one that was interrupted can be done again; each
// returns what was reached, for the record. Errors: those of what it calls, with the step in front.
// Threads: one.

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "app/config.h"
#include "app/recovery_work.h"
#include "core/progress.h"

namespace holdfast {

class PromotionSteps {
 public:
  PromotionSteps(const Config& config, RecoveryWork& work, Progress& progress,
                 const std::stop_token& stop)
      : config_(config), work_(work), progress_(progress), stop_(stop) {}

  // Those that were not done yet.
  void promote();
  void roll_back();

  const std::vector<std::string>& warnings() const { return warnings_; }
  // For people: which server runs in the cluster's place now, if any does.
  std::string who_serves() const;

 private:
  struct Step {
    const char* name;
    std::string (PromotionSteps::*work)();
  };
  static const Step kPromote[];
  static const Step kRollBack[];

  void run(const std::string& step, const std::function<std::string()>& work);
  void start_again_if_it_died();
  std::string stop_application();
  std::string fence_old_server();
  std::string promote_copy();
  std::string set_aside();
  std::string put_in_place();
  std::string start_server();
  std::string take_over_archive();
  std::string start_application();
  std::string validate();
  std::string back_up();

  std::string build_standby_of(std::size_t index);

  std::string set_standbys_aside();
  std::string fence_new_server();
  std::string put_back_copy();
  std::string put_back_old_server();
  std::string let_old_server_start();
  std::string start_old_server();
  std::string take_back_archive();

  const RecoveryPromotion& promotion() const { return *work_.record().promotion; }
  std::string hook(const HookConfig& hook, const std::string& name);
  // Wherever it is by now: it is known by its inode.
  bool is_copy(const std::filesystem::path& path) const;
  std::filesystem::path old_directory() const;
  void require_way_back() const;
  // No primary of this cluster through postgres.connection, and nothing that might be one.
  void require_nobody_answers() const;
  // Stops whatever runs there, archives what it left, and makes that it does not start again.
  std::string fence_server(const std::filesystem::path& data_directory);
  std::string fence_lost_server(const std::filesystem::path& data_directory);
  std::string keep_old_fenced();
  void require_as_checked();
  void stop_server(const std::filesystem::path& data_directory);
  void start_with_pg_ctl();
  void look_at_server();
  void await_server();
  void await_health();
  std::string check_log();
  std::filesystem::path server_log() const;

  const Config& config_;
  RecoveryWork& work_;
  Progress& progress_;
  const std::stop_token& stop_;
  std::vector<std::string> warnings_;
};

}  // namespace holdfast
