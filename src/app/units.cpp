#include "app/units.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/drill_preset.h"
#include "core/error.h"
#include "system/cron.h"
#include "system/files.h"
#include "system/users.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kUnitMark = "# Written by `holdfast units`";
constexpr std::size_t kUnitBytesMax = std::size_t{1} << 20U;

// What it comes after when the machine starts. What tells how things stand must not wait for a
// server that does not come up.
enum class After { kNetwork, kServer };

// One of the things that happen by themselves.
struct Job {
  std::string name, what;
  std::vector<std::string> commands;  // arguments of holdfast, one after the other
  std::vector<std::string> times;     // of OnCalendar
  std::string limit;
  bool catch_up = true;  // after a time when the machine was down
  After after = After::kNetwork;
};

std::vector<std::string> times_of(const Config& config, const std::string& cron) {
  return on_calendar(parse_cron(cron), config.timezone);
}

std::string at(const Config& config, std::string_view time) {
  return fmt::format("{} {}", time, config.timezone);
}

bool has_retention(const RetentionConfig& retention) {
  return retention.window.count() > 0 || retention.keep_last + retention.daily + retention.weekly +
                                                 retention.monthly + retention.yearly >
                                             0;
}

// On other Sundays than the drill of the month: one drill at a time.
void add_rare_drills(const Config& config, std::vector<Job>& jobs) {
  jobs.push_back({.name = "drill-quarterly",
                  .what = "recovery with nothing but the repositories",
                  .commands = {"drill --preset quarterly"},
                  .times = {at(config, "Sun *-01,04,07,10-08..14 10:00:00")},
                  .limit = "24h",
                  .after = After::kServer});
  const RepositoryConfig* const cold = cold_repository(config);
  if (cold == nullptr || wants_consent_to_thaw(config, *cold)) return;
  jobs.push_back({.name = "drill-yearly",
                  .what = fmt::format("recovery from repository {}", cold->name),
                  .commands = {"drill --preset yearly"},
                  .times = {at(config, "Sun *-02-15..21 10:00:00")},
                  .limit = "5d",  // a thaw in bulk takes two of them
                  .after = After::kServer});
}

std::vector<Job> jobs_of(const Config& config) {
  std::vector<Job> jobs;
  const bool of_server = !config.postgres.data_directory.empty();
  if (of_server && !config.backup.schedule.empty()) {
    jobs.push_back({.name = "backup",
                    .what = "backup",
                    .commands = {"backup"},
                    .times = times_of(config, config.backup.schedule),
                    .limit = "3d",
                    .after = After::kServer});
  }
  if (of_server) {
    jobs.push_back({.name = "check",
                    .what = "check of the set-up",
                    .commands = {"check"},
                    .times = {at(config, "*-*-* *:23:00")},
                    .limit = "15min",
                    .catch_up = false});
    // What the check does not look at: age of backups, drills, copies, gaps, a promotion that
    // stopped. It fails when something is critical.
    jobs.push_back({.name = "status",
                    .what = "status",
                    .commands = {"status"},
                    .times = {at(config, "*-*-* *:53:00")},
                    .limit = "15min",
                    .catch_up = false});
  }
  jobs.push_back({.name = "verify",
                  .what = "verification of the latest backup",
                  .commands = {"verify"},
                  .times = {at(config, "Sat *-*-* 05:00:00")},
                  .limit = "24h"});
  jobs.push_back({.name = "drill",
                  .what = "rehearsed recovery",
                  .commands = {"drill --preset monthly"},
                  .times = {at(config, "Sun *-*-01..07 10:00:00")},
                  .limit = "24h",
                  .after = After::kServer});
  add_rare_drills(config, jobs);
  for (const RepositoryConfig& repository : config.repositories) {
    if (!has_retention(repository.retention)) continue;
    jobs.push_back({.name = "expire-" + repository.name,
                    .what = fmt::format("retention of repository {}", repository.name),
                    .commands = {fmt::format("--repo {} expire", repository.name)},
                    .times = {at(config, "*-*-* 07:30:00")},
                    .limit = "4h"});
  }
  for (const RepositoryConfig& repository : config.repositories) {
    if (repository.copy.schedule.empty()) continue;
    jobs.push_back({.name = "copy-" + repository.name,
                    .what = fmt::format("copy to repository {}", repository.name),
                    .commands = {fmt::format("copy latest --to {}{}", repository.name,
                                             repository.copy.standalone ? " --standalone" : "")},
                    .times = times_of(config, repository.copy.schedule),
                    .limit = "24h",
                    .after = After::kServer});
  }
  return jobs;
}

// As a unit has it: '%' and '$' stand for themselves, blanks and quotes do not end a word.
std::string quoted_for_systemd(const std::string& word) {
  std::string out = "\"";
  for (const char c : word) {
    if (c == '%' || c == '$') out += c;
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string header(const Config& config) {
  return fmt::format("{} for cluster '{}'.\n", kUnitMark, config.cluster);
}

std::string command_line(const UnitPlace& place, const std::string& command) {
  return fmt::format("ExecStart={} --config {} --no-progress {}\n",
                     quoted_for_systemd(place.program), quoted_for_systemd(place.configuration),
                     command);
}

// How Debian and Red Hat call the service of a data directory in its usual place:
// /var/lib/postgresql/15/main, /var/lib/pgsql/15/data. Empty: it lies elsewhere.
std::string usual_service(const fs::path& data_directory) {
  const fs::path clean = (data_directory / "").lexically_normal().parent_path();
  const std::string name = clean.filename(), version = clean.parent_path().filename();
  const fs::path above = clean.parent_path().parent_path();
  if (above == "/var/lib/postgresql")
    return fmt::format(" postgresql@{}-{}.service", version, name);
  if (above == "/var/lib/pgsql") return fmt::format(" postgresql-{}.service", version);
  return {};
}

// What was missed while the machine was down is made up for when it starts: what needs PostgreSQL,
// not before that has. To come after a service that there is not does no harm.
std::string after_what_it_needs(const Config& config, After after) {
  std::string server;
  if (after == After::kServer) {
    server = " postgresql.service" + usual_service(config.postgres.data_directory);
  }
  return fmt::format(
      "After=network-online.target{}\n"
      "Wants=network-online.target\n",
      server);
}

std::string service_of(const Config& config, const UnitPlace& place, const std::string& prefix,
                       const Job& job) {
  std::string out = header(config);
  out += fmt::format("[Unit]\nDescription=Holdfast: {} of {}\n", job.what, config.cluster);
  out += after_what_it_needs(config, job.after);
  out += fmt::format("OnFailure={}failed@%n.service\n\n", prefix);
  out += fmt::format("[Service]\nType=oneshot\nUser={}\n", place.user);
  for (const std::string& command : job.commands) out += command_line(place, command);
  // It is told first, and clears up; what it started ends with it.
  out += fmt::format("TimeoutStartSec={}\nTimeoutStopSec=5min\nKillMode=mixed\n", job.limit);
  out += "Nice=5\nIOSchedulingClass=best-effort\nIOSchedulingPriority=6\n";
  // Not NoNewPrivileges: a hook may need sudo, and the sendmail of a notification its group.
  out += "UMask=0077\n";
  return out;
}

// It runs on, and comes back after a crash; what is wrong for longer starts the notification.
std::string canary_service(const Config& config, const UnitPlace& place,
                           const std::string& prefix) {
  std::string out = header(config);
  out += fmt::format("[Unit]\nDescription=Holdfast: canary of {}\n", config.cluster);
  out += after_what_it_needs(config, After::kServer);
  out += fmt::format("OnFailure={}failed@%n.service\n", prefix);
  out += "StartLimitIntervalSec=1h\nStartLimitBurst=10\n\n";
  out += fmt::format("[Service]\nType=simple\nUser={}\n", place.user);
  out += command_line(place, "canary");
  out += "Restart=on-failure\nRestartSec=1min\nTimeoutStopSec=10\nUMask=0077\n\n";
  return out + "[Install]\nWantedBy=multi-user.target\n";
}

std::string timer_of(const Config& config, const Job& job) {
  std::string out = header(config);
  out += fmt::format("[Unit]\nDescription=Holdfast: when the {} of {} is due\n\n[Timer]\n",
                     job.what, config.cluster);
  for (const std::string& time : job.times) out += fmt::format("OnCalendar={}\n", time);
  out += fmt::format("AccuracySec=1min\nPersistent={}\n\n", job.catch_up ? "true" : "false");
  return out + "[Install]\nWantedBy=timers.target\n";
}

std::string failed_service(const Config& config, const UnitPlace& place) {
  std::string out = header(config);
  out += fmt::format("[Unit]\nDescription=Holdfast: tells that %i failed\n\n");
  out += fmt::format("[Service]\nType=oneshot\nUser={}\n", place.user);
  out += command_line(place, "notify --unit %i");
  return out + "TimeoutStartSec=5min\nUMask=0077\n";
}

std::string prefix_of(const Config& config) {
  return fmt::format("holdfast-{}-", config.cluster);
}

std::string owner_name(const std::string& path) {
  struct stat status{};
  const bool found = !path.empty() && ::stat(path.c_str(), &status) == 0;
  return user_name(found ? status.st_uid : ::geteuid());
}

}  // namespace

UnitPlace this_place(const Config& config) {
  return {.program = fs::read_symlink("/proc/self/exe").string(),
          .configuration = fs::absolute(config.file).lexically_normal().string(),
          .user = owner_name(config.postgres.data_directory)};
}

std::vector<SystemdUnit> make_units(const Config& config, const UnitPlace& place) {
  const std::string prefix = prefix_of(config);
  std::vector<SystemdUnit> units;
  for (const Job& job : jobs_of(config)) {
    units.push_back({prefix + job.name + ".service", service_of(config, place, prefix, job)});
    units.push_back({prefix + job.name + ".timer", timer_of(config, job)});
  }
  if (config.canary.interval.count() > 0) {
    units.push_back({prefix + "canary.service", canary_service(config, place, prefix)});
  }
  units.push_back({prefix + "failed@.service", failed_service(config, place)});
  return units;
}

namespace {

// The unit that is there, if any, is one of ours and of this cluster. Names do not say so:
// repository "backup" of cluster "db" and cluster "db-copy" both have
// "holdfast-db-copy-backup.service".
void require_ours(const Config& config, const fs::path& path) {
  const auto there = read_file(path, kUnitBytesMax);
  if (!there || there->starts_with(header(config))) return;
  if (there->starts_with(kUnitMark)) {
    throw Error(ErrorKind::kRefused, "a unit of this name is there for another cluster",
                {.object = path.string(),
                 .hint = "Its first line names the cluster. Choose another --directory, or give "
                         "this cluster's repository another name. Nothing was written."});
  }
  throw Error(ErrorKind::kRefused, "a unit of this name is there, and was not written by us",
              {.object = path.string(),
               .hint = "Move it away, or choose another --directory. Nothing was written."});
}

}  // namespace

UnitsInstalled install_units(const Config& config, const std::vector<SystemdUnit>& units,
                             const fs::path& folder) {
  UnitsInstalled installed;
  std::set<std::string> names;
  for (const SystemdUnit& unit : units) {
    names.insert(unit.name);
    require_ours(config, folder / unit.name);
  }
  for (const SystemdUnit& unit : units) {
    write_durably(folder / unit.name, as_bytes(unit.content), 0644, Overwrite::kYes);
    installed.written.push_back(unit.name);
  }
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    if (names.contains(name) || !name.starts_with("holdfast-") || !entry.is_regular_file())
      continue;
    const auto text = read_file(entry.path(), kUnitBytesMax);
    if (text && text->starts_with(header(config))) installed.unwanted.push_back(name);
  }
  std::ranges::sort(installed.unwanted);
  return installed;
}

}  // namespace holdfast
