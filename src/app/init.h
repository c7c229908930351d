#pragma once
// `init`: a repository that exists, a cluster that is registered in it, and what PostgreSQL still
// needs.
//
// Idempotent: what is there already is left as it is. Order: the server and its data directory are
// looked at first, so that nothing is created for a cluster that cannot be reached or is another
// one; then the store has to prove that it creates and never replaces; then the repository is
// created, the cluster registered, and the settings are set, where asked for.
// Errors: kRefused for a store that overwrites, unless the configuration says exclusive_writer, and
// as in backup/preflight.h; those of PostgreSQL, the store and the key.

#include <stop_token>
#include <string>
#include <vector>

#include "app/config.h"
#include "app/settings.h"
#include "repository/history.h"

namespace holdfast {

enum class ApplySettings { kNo, kYes };
enum class HistoryWish { kNo, kUpgrade, kTakeOver };

struct InitRequest {
  ApplySettings apply = ApplySettings::kNo;
  HistoryWish history = HistoryWish::kNo;
  std::string role = "holdfast";  // that the SQL is for
};

struct InitResult {
  std::string repository;  // URL
  bool repository_created = false;
  bool encrypted = false;
  bool exclusive_create = true;  // proven when the repository was created
  Registration registration;
  std::vector<PostgresSetting> settings;
  std::vector<std::string> applied;  // names of settings that this call has set
  std::string role, role_sql;
  std::string database;  // to run role_sql in
  std::vector<std::string> warnings;
};

InitResult init(const Config& config, const RepositoryConfig& repository,
                const InitRequest& request, const std::stop_token& stop);

// Where check and init put what they remove again: "_check/<time>-<random>/". No cluster can have
// such a name, and no two calls get the same.
std::string scratch_prefix();

}  // namespace holdfast
