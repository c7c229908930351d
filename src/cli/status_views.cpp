#include "cli/status_views.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "cli/render.h"
#include "core/counted.h"
#include "core/redact.h"
#include "core/text.h"

namespace holdfast::cli {
namespace {

constexpr std::size_t kLabelWidth = 14;

std::string age_text(Timestamp now, Timestamp then) {
  return then >= now ? "just now" : human_duration(now - then) + " ago";
}

// "label         value", with the values under each other.
class Screen {
 public:
  explicit Screen(const Style& style) : style_(style) {}
  void line(std::string_view label, const std::string& value, Colour colour = Colour::kNone) {
    text_ += fmt::format("{:<{}}", label, kLabelWidth);
    text_ += colour == Colour::kNone ? printable(value) : style_.paint(colour, printable(value));
    text_ += '\n';
  }
  void title(const std::string& text) { text_ += style_.paint(Colour::kBold, text) + "\n"; }
  void raw(const std::string& text) { text_ += text; }
  std::string take() { return std::move(text_); }

 private:
  const Style& style_;
  std::string text_;
};

void show_server(Screen& screen, const ServerEvidence& server) {
  if (server.trouble) {
    screen.line("PostgreSQL", server.trouble->message, Colour::kRed);
    return;
  }
  screen.line(
      "PostgreSQL",
      fmt::format("{}, {}, timeline {}{}", server.version, server.standby ? "a standby" : "primary",
                  server.timeline.value, server.restored ? ", A RESTORED COPY" : ""),
      server.restored ? Colour::kRed : Colour::kNone);
  if (server.replay) {
    screen.line("replay", fmt::format("{} behind{}", human_bytes(server.replay->behind),
                                      server.replay->paused ? ", paused" : ""));
  }
}

void show_archiving(Screen& screen, const Evidence& evidence) {
  const ServerEvidence& server = evidence.server;
  if (server.trouble) return;
  if (server.standby) return screen.line("archiving", "by the primary");
  const ArchiverEvidence& archiver = server.archiver;
  if (!archiver.on) return screen.line("archiving", "OFF: WAL is not archived", Colour::kRed);
  const std::string last = archiver.last_archived
                               ? fmt::format("{} {}", archiver.last_archived_file,
                                             age_text(evidence.now, *archiver.last_archived))
                               : "nothing yet";
  if (archiver.failing()) {
    screen.line("archiving", "FAILING; last archived: " + last, Colour::kRed);
    if (archiver.said) screen.line("", archiver.said->message, Colour::kRed);
  } else {
    screen.line("archiving", last);
  }
  if (!server.backlog || server.backlog->segments == 0) return;
  const WalRisk risk = wal_risk(evidence);
  screen.line(
      "waiting",
      fmt::format("{}, {}{}{}", counted(server.backlog->segments, "segment"),
                  human_bytes(server.backlog->bytes),
                  risk.age ? ", the oldest for " + human_duration(*risk.age) : "",
                  risk.disk_full_in ? ", disk full in " + human_duration(*risk.disk_full_in) : ""),
      Colour::kYellow);
}

std::string proof_text(const CatalogueEntry& backup, Timestamp now) {
  if (!backup.proof || backup.proof->time.empty()) return "never verified";
  const auto time = parse_rfc3339(backup.proof->time);
  return fmt::format(
      "{} passed {}",
      backup.proof->mode.starts_with("drill") ? "a drill" : backup.proof->mode + " verify",
      time ? age_text(now, *time) : backup.proof->time);
}

void show_window(Screen& screen, const RepositoryEvidence& repository) {
  if (!repository.window) return screen.line("  recoverable", "nothing", Colour::kRed);
  const WindowEvidence& window = *repository.window;
  const auto text = [](const std::optional<Timestamp>& time) {
    return time ? to_rfc3339_seconds(*time) : std::string("?");
  };
  std::string line = fmt::format("{} to {}{}", text(window.from), text(window.to),
                                 window.to_is_exact ? "" : " or later");
  const bool gap = std::ranges::any_of(repository.gaps, &GapEvidence::open);
  if (gap) line += ", then a GAP";
  screen.line("  recoverable", line, gap ? Colour::kRed : Colour::kNone);
}

void show_repository(Screen& screen, const RepositoryEvidence& repository, Timestamp now) {
  screen.line("repository",
              repository.name + "  " + repository.url +
                  (repository.as_of ? " as of " + to_rfc3339(*repository.as_of) : ""));
  if (repository.trouble) screen.line("  problem", repository.trouble->message, Colour::kRed);
  if (!repository.opened) return;
  if (repository.last_good) {
    const BackupInfo& info = repository.last_good->outcome.info;
    screen.line(
        "  last backup",
        fmt::format("{}, {}, {}, {} ({} stored), {}", info.name.id.text, info.type,
                    age_text(now, info.stop_time), human_bytes(info.data_bytes),
                    human_bytes(info.stored_bytes), proof_text(*repository.last_good, now)));
  } else if (!repository.trouble) {
    screen.line("  last backup", "none", repository.first ? Colour::kRed : Colour::kNone);
  }
  if (repository.registered && !repository.trouble) show_window(screen, repository);
  if (repository.lag) screen.line("  behind", describe(*repository.lag), Colour::kYellow);
}

void show_machine(Screen& screen, const Evidence& evidence) {
  const MachineEvidence& machine = evidence.machine;
  if (machine.drills.empty()) {
    screen.line("last drill", "none");
  } else {
    const DrillEvidence& drill = machine.drills.back();
    std::string text = fmt::format("{} {}", drill.passed ? "passed" : "FAILED",
                                   age_text(evidence.now, drill.time));
    if (!drill.backup.empty()) text += ", " + drill.backup;
    if (drill.recovery_seconds) {
      text += ", answered after " + human_duration(Seconds(*drill.recovery_seconds));
    }
    if (!drill.passed) text += ": " + drill.failed;
    screen.line("last drill", text, drill.passed ? Colour::kNone : Colour::kRed);
  }
  for (const RunningOperation& each : machine.running) {
    screen.line("running", fmt::format("{}, process {}", each.what, each.pid));
  }
  for (const RecoveryView& view : machine.recoveries) {
    screen.line("recovery",
                fmt::format("{}: {}", view.record.name, holdfast::to_string(view.state)));
  }
}

void show_problems(Screen& screen, const std::vector<Finding>& findings, const Style& style) {
  for (const Finding& finding : findings) {
    if (finding.severity == ProblemSeverity::kNotice) continue;
    screen.raw(
        style.paint(colour_of(finding.severity),
                    fmt::format("{:<{}}", holdfast::to_string(finding.severity), kLabelWidth)) +
        printable(finding.title) + "\n");
    screen.line("", finding.remedy);
  }
}

// A '|' would begin the numbers, a line end the long text.
std::string nagios_safe(const std::string& text) {
  std::string safe = printable(text);
  std::ranges::replace(safe, '|', '/');
  return safe;
}

std::string seconds_text(std::chrono::microseconds time) {
  return fmt::format("{}s", std::chrono::duration_cast<std::chrono::seconds>(time).count());
}

// 'label'=value[unit];[warning];[critical];[minimum]
std::string performance_data(const Config& config, const Evidence& evidence) {
  std::string text;
  for (const RepositoryEvidence& repository : evidence.repositories) {
    if (!repository.last_good) continue;
    const auto age = evidence.now - repository.last_good->outcome.info.stop_time;
    text += fmt::format(" 'backup_age_{}'={}", repository.name, seconds_text(age));
    if (!repository.first) continue;
    const BackupLimits limits = backup_limits(config, repository.last_good->outcome.info.stop_time);
    text += fmt::format(";{};{};0", std::chrono::seconds(limits.overdue).count(),
                        std::chrono::seconds(limits.long_overdue).count());
  }
  if (const auto& backlog = evidence.server.backlog) {
    const WalRisk risk = wal_risk(evidence);
    text += fmt::format(
        " wal_waiting={};;;0 wal_waiting_bytes={}B;;;0 wal_waiting_age={};;;0 "
        "wal_disk_free={}B;;;0",
        backlog->segments, backlog->bytes,
        seconds_text(risk.age.value_or(std::chrono::microseconds::zero())), backlog->free_bytes);
  }
  if (!evidence.machine.drills.empty()) {
    text += fmt::format(" drill_age={};{};;0",
                        seconds_text(evidence.now - evidence.machine.drills.back().time),
                        std::chrono::seconds(kDrillOverdue).count());
  }
  return text.empty() ? text : " |" + text;
}

}  // namespace

Colour colour_of(ProblemSeverity severity) {
  static constexpr std::array<Colour, 3> kColours{Colour::kDim, Colour::kYellow, Colour::kRed};
  return kColours.at(static_cast<std::size_t>(severity));
}

std::string_view health_of(const std::vector<Finding>& findings) {
  static constexpr std::array<std::string_view, 3> kHealth{"ok", "warning", "critical"};
  return kHealth.at(static_cast<std::size_t>(worst_of(findings)));
}

std::string status_text(const Evidence& evidence, const std::vector<Finding>& findings,
                        const Style& style) {
  const ProblemSeverity worst = worst_of(findings);
  std::string health(health_of(findings));
  std::ranges::transform(health, health.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  Screen screen(style);
  screen.raw(
      style.paint(Colour::kBold, evidence.cluster) + ": " +
      style.paint(worst == ProblemSeverity::kNotice ? Colour::kGreen : colour_of(worst), health) +
      "\n");
  show_server(screen, evidence.server);
  show_archiving(screen, evidence);
  for (const RepositoryEvidence& repository : evidence.repositories) {
    show_repository(screen, repository, evidence.now);
  }
  show_machine(screen, evidence);
  show_problems(screen, findings, style);
  return screen.take();
}

NagiosLine nagios_line(const Config& config, const Evidence& evidence,
                       const std::vector<Finding>& findings) {
  static constexpr std::array<std::string_view, 3> kWords{"OK", "WARNING", "CRITICAL"};
  const auto worst = static_cast<std::size_t>(worst_of(findings));
  std::string text =
      fmt::format("HOLDFAST {} - {}: ", kWords.at(worst), nagios_safe(evidence.cluster));
  const auto problems =
      static_cast<std::size_t>(std::ranges::count_if(findings, [](const Finding& finding) {
        return finding.severity != ProblemSeverity::kNotice;
      }));
  if (problems == 0) {
    text += "backups and WAL are as they should be";
  } else {
    text += nagios_safe(findings.front().title);
    if (problems > 1) text += fmt::format(" (and {} more)", problems - 1);
  }
  return {text + performance_data(config, evidence) + "\n", static_cast<int>(worst)};
}

NagiosLine nagios_unknown(const Error& error) {
  constexpr int kUnknown = 3;
  return {"HOLDFAST UNKNOWN - " + nagios_safe(redact_secrets(error.message())) + "\n", kUnknown};
}

}  // namespace holdfast::cli
