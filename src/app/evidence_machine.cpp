// Evidence: this machine. What runs here, recoveries, reports of drills, and what was left behind.
#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "app/copy_checks.h"
#include "app/evidence_parts.h"
#include "repository/json_text.h"
#include "system/files.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t kReportBytesMax = std::size_t{4} << 20U;
constexpr std::size_t kReportsRead = 400;
// Columns of a line of /proc/locks, behind the number: type, advisory or not, kind, process, file.
constexpr std::string_view kFlock = "FLOCK";

// Who holds a flock, as the kernel lists it: a monitor that took the lock to find out would get in
// the way of the command that wants it. Source: proc(5), "/proc/locks".
std::optional<std::uint64_t> holder_of(const fs::path& lock) {
  struct stat status{};
  if (::stat(lock.c_str(), &status) != 0) return std::nullopt;
  const std::string wanted =
      fmt::format("{:02x}:{:02x}:{}", major(status.st_dev), minor(status.st_dev), status.st_ino);
  std::ifstream list("/proc/locks");
  for (std::string text; std::getline(list, text);) {
    std::istringstream line(text);
    std::string number, type, advice, kind, pid, file;
    line >> number >> type >> advice >> kind >> pid >> file;
    if (type == kFlock && file == wanted) return std::strtoull(pid.c_str(), nullptr, 10);
  }
  return std::nullopt;
}

std::optional<double> number_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

std::string text_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found == json.end() || !found->is_string() ? "" : found->get<std::string>();
}

// As app/drill_report.cpp writes it; nullopt for anything else.
std::optional<DrillEvidence> drill_in(const fs::path& report) {
  try {
    const auto text = read_file(report, kReportBytesMax);
    if (!text) return std::nullopt;
    const Json json = parse_json<Json>(*text);
    const auto began = parse_rfc3339(text_in(json, "began"));
    if (!began) return std::nullopt;
    // Of a repository as it was: nothing of it says that what is there now comes back.
    if (!text_in(json, "as_of").empty()) return std::nullopt;
    const std::vector<CheckResult> checks = check_results_from(json.at("checks"));
    // Nobody could look into the copy: as if there had been none.
    if (!tell_of_backup(checks)) return std::nullopt;
    DrillEvidence drill{.time = *began,
                        .passed = json.at("passed").get<bool>(),
                        .proven = backup_passed(checks),
                        .backup = text_in(json, "backup"),
                        .target = text_in(json, "target"),
                        .repository = text_in(json, "repository"),
                        .preset = text_in(json, "preset"),
                        .recovery_seconds = number_in(json, "recovery_seconds"),
                        .recovery_point_seconds = number_in(json, "recovery_point_seconds")};
    for (const CheckResult& check : checks) {
      if (check.verdict != CheckResult::Verdict::kFailed) continue;
      drill.failed += (drill.failed.empty() ? "" : ", ") + check.name;
    }
    return drill;
  } catch (const std::exception&) {
    return std::nullopt;  // not a report
  }
}

// The newest reports; their names begin with the time.
std::vector<DrillEvidence> reports_in(const fs::path& folder) {
  std::vector<fs::path> reports;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() == ".json") reports.push_back(entry->path());
  }
  std::ranges::sort(reports, std::ranges::greater{});
  if (reports.size() > kReportsRead) reports.resize(kReportsRead);
  std::vector<DrillEvidence> drills;
  for (const fs::path& report : reports) {
    if (auto drill = drill_in(report)) drills.push_back(std::move(*drill));
  }
  return drills;
}

void note_running(const Config& config, MachineEvidence& machine) {
  constexpr std::array<const char*, 2> kLocks{"backup", "drill"};
  for (const char* const what : kLocks) {
    const auto holder = holder_of(config.state_directory / (std::string(what) + ".lock"));
    if (holder) machine.running.push_back({what, *holder});
  }
}

bool runs(const MachineEvidence& machine, std::string_view what) {
  return std::ranges::any_of(machine.running,
                             [&](const RunningOperation& each) { return each.what == what; });
}

void note_leftovers(const Config& config, MachineEvidence& machine) {
  std::error_code ignored;
  const fs::path drill = config.state_directory / "drill";
  if (fs::exists(drill / "holdfast.drill", ignored) && !runs(machine, "drill")) {
    machine.leftovers.push_back(fmt::format(
        "{}: the copy of a drill that was killed; the next drill removes it", drill.string()));
  } else if (fs::exists(drill / "data", ignored) && !runs(machine, "drill")) {
    machine.leftovers.push_back(
        fmt::format("{}: a drill's copy that was kept (--keep); it takes room until you remove it",
                    drill.string()));
  }
}

void look_at_replays(const Config& config, MachineEvidence& machine, const std::stop_token& stop) {
  for (const RecoveryView& view : machine.recoveries) {
    if (view.state != RecoveryView::State::kReplaying || !view.position) continue;
    looked_at([&] {
      const RecoverySession to = recovery_session(config, view.record.name, "template1", stop);
      Session session = Session::connect(to.connection, stop);
      ReplayEvidence replay =
          look_at_replay(session, {"recovery " + view.record.name, EvidenceDepth::kDoctor}, stop);
      // A copy has no WAL receiver: what it has still to replay, the record says.
      if (view.record.to > view.position->replayed) {
        replay.behind = view.record.to.value - view.position->replayed.value;
      }
      machine.replays.push_back(std::move(replay));
    });
  }
}

}  // namespace

std::vector<DrillEvidence> reported_drills(const Config& config) {
  return reports_in(config.state_directory / "drills");
}

MachineEvidence look_at_machine(const Config& config, const EvidenceOptions& options,
                                const TimeLimit& limit) {
  MachineEvidence machine;
  const std::string folder = config.state_directory.string();
  std::error_code ignored;
  if (fs::exists(config.state_directory, ignored) &&
      ::access(folder.c_str(), R_OK | W_OK | X_OK) != 0) {
    if (auto trouble = looked_at([&] { throw_errno(errno, "use", folder); })) {
      machine.troubles.push_back(std::move(*trouble));
    }
    return machine;
  }
  note_running(config, machine);
  note_leftovers(config, machine);
  auto trouble = limit.looked_at(ErrorKind::kHost, [&] {
    machine.recoveries = list_recoveries(config, "", limit.token());
    if (options.depth == EvidenceDepth::kDoctor) look_at_replays(config, machine, limit.token());
  });
  if (trouble) machine.troubles.push_back(std::move(*trouble));
  return machine;
}

}  // namespace holdfast
