#pragma once
// What a drill and a recovery ask of their copy: the checks that every copy gets
// (recover/database_checks.h), and the questions of the configuration (recover/sql_checks.h).
// Errors: those of the checks. Threads: one at a time.

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "app/config.h"
#include "recover/sql_checks.h"

namespace holdfast {

// The running copy, in this order: files, indexes, tables, the configured questions. With kNever
// those that compare with the source's server are skipped, and it is not asked.
enum class AskSource { kWhereNeeded, kNever };
std::vector<CheckResult> check_running_copy(const Config& config, const CheckedServer& server,
                                            AskSource source, const std::stop_token& stop);

// The configured questions alone, to the cluster itself; not those whose answer is compared with
// the cluster's.
std::vector<CheckResult> check_production(const Config& config, const std::stop_token& stop);

// Whether the role of postgres.connection may ask the configured questions, as a promotion's
// validation will; nullopt: it would ask none. "skipped" where it may not: the copy cannot be
// changed, and the rights can be given when it is the cluster.
std::optional<CheckResult> check_rights_to_ask(const Config& config, const CheckedServer& server,
                                               const std::stop_token& stop);
// What gives them, as SQL and for people.
std::string rights_remedy(const Config& config);

// Whether none has failed; only those about the backup itself with kBackup.
bool all_passed(const std::vector<CheckResult>& checks);
bool backup_passed(const std::vector<CheckResult>& checks);

// Whether they tell anything of the backup: that a part of it is wrong, or, from inside of its
// data, that it is not. Where neither amcheck, page checksums nor a question of the operator's
// could be had, nobody has looked, and whatever else passed or failed is no proof and no evidence.
bool tell_of_backup(const std::vector<CheckResult>& checks);

// What the checks of a copy say together. That nothing failed is not enough: what tells nothing of
// the backup opens no gate. A missed objective does not make it more than that.
enum class CopyVerdict { kPassed, kFailed, kNotChecked };
std::string_view to_string(CopyVerdict verdict);  // "passed", "failed", "not checked"
CopyVerdict verdict_of(const std::vector<CheckResult>& checks);
// Those that were skipped, and why, for people: "checksums (the cluster has no page checksums)".
std::string not_looked_at(const std::vector<CheckResult>& checks);
// Of kNotChecked: what to do about it.
inline constexpr std::string_view kLetItBeChecked =
    "Install amcheck (Debian: postgresql-NN, Red Hat: postgresqlNN-contrib), or give the "
    "configuration a question of your own (checks).";
// The same of a recovered copy, which can only be read. `recovery` is its name.
std::string let_recovery_be_checked(const std::string& recovery);

// As docs/json.md has them.
nlohmann::ordered_json check_results_json(const std::vector<CheckResult>& checks);
// Such results again. Errors: those of the JSON library.
std::vector<CheckResult> check_results_from(const nlohmann::ordered_json& json);

}  // namespace holdfast
