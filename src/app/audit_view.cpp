#include "app/audit_view.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "app/audit_log.h"
#include "app/open.h"
#include "core/counted.h"
#include "core/known.h"
#include "core/parallel.h"
#include "core/text.h"
#include "repository/audit_record.h"
#include "restore/target_time.h"

namespace holdfast {
namespace {

// How many of the newest records are looked through for the last of this log; others are of other
// machines.
constexpr std::size_t kRecordsSearched = 1000;

Timestamp time_of(const AuditJson& fields) {
  return parse_rfc3339(fields.at("time").get<std::string>()).value_or(Timestamp{});
}

ActionView begun(const AuditJson& fields) {
  return {.id = fields.at("action"),
          .command = fields.at("command"),
          .reason = fields.at("reason"),
          .host = fields.at("host"),
          .user = fields.at("user"),
          .login = fields.at("login"),
          .arguments = fields.at("arguments").get<std::vector<std::string>>(),
          .pid = fields.at("pid"),
          .began = time_of(fields)};
}

void finish(ActionView& action, const AuditJson& fields) {
  action.ended = time_of(fields);
  action.exit = fields.at("exit");
  action.signal = fields.at("signal");
  action.subject = fields.at("subject");
  action.duration_seconds = fields.at("duration_seconds");
  if (fields.at("error").is_null()) return;
  action.error_kind = fields["error"].at("kind");
  action.error = fields["error"].at("message");
  action.error_object = fields["error"].at("object");
}

// Puts begins and ends together.
class Actions {
 public:
  void add(const std::string& text) {
    try {
      const AuditLine line = parse_audit_line(text);
      add(line.fields);
    } catch (const std::exception&) {
      ++unreadable_;
    }
  }

  std::size_t unreadable() const { return unreadable_; }
  std::vector<ActionView> take(std::optional<Timestamp> since) {
    std::vector<ActionView> all;
    for (auto& [id, action] : by_id_) {
      // An end whose begin is not among the lines has no command to show.
      if (action.id.empty() || (since && action.began < *since)) continue;
      all.push_back(std::move(action));
    }
    std::ranges::stable_sort(all, {}, &ActionView::began);
    return all;
  }

 private:
  void add(const AuditJson& fields) {
    ActionView& action = by_id_[fields.at("action").get<std::string>()];
    if (fields.at("event") == "end") return finish(action, fields);
    ActionView fresh = begun(fields);
    if (action.ended) {  // copies may come in any order
      fresh.ended = action.ended;
      fresh.exit = action.exit;
      fresh.signal = action.signal;
      fresh.error_kind = action.error_kind;
      fresh.error = action.error;
      fresh.error_object = action.error_object;
      fresh.subject = action.subject;
      fresh.duration_seconds = action.duration_seconds;
    }
    action = std::move(fresh);
  }

  std::map<std::string, ActionView> by_id_;
  std::size_t unreadable_ = 0;
};

void fill(AuditView& view, const std::vector<std::string>& lines, const AuditQuery& query) {
  Actions actions;
  for (const std::string& line : lines) actions.add(line);
  view.lines += lines.size();
  view.actions = actions.take(query.since);
  if (actions.unreadable() > 0 && query.verify == AuditVerify::kNo) {
    view.notes.push_back(fmt::format("{} of the log cannot be read; see 'holdfast log --verify'",
                                     counted(actions.unreadable(), "line")));
  }
}

std::string log_of(const std::vector<std::string>& lines) {
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    try {
      return parse_audit_line(*line).log;
    } catch (const Error&) {
      continue;
    }
  }
  return {};
}

// nullopt, and a finding, where the copy is damaged.
std::optional<AuditRecord> read_or_find(AuditView& view, const Repository& repository,
                                        const std::string& name, const std::stop_token& stop) {
  try {
    return read_audit_record(repository, name, stop);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kDamage) throw;
    view.findings.push_back(fmt::format("{}: {}", name, error.message()));
    return std::nullopt;
  }
}

// The log here against one record of it.
void compare(AuditView& view, const std::vector<std::string>& lines, const AuditRecord& record) {
  const std::uint64_t last = record.first + record.lines.size() - 1;
  if (last > lines.size()) {
    view.findings.push_back(
        fmt::format("the end is missing: the log here has {}, its copy in the repository {}",
                    counted(lines.size(), "line"), last));
  }
  for (std::size_t i = 0; i < record.lines.size(); ++i) {
    const std::uint64_t number = record.first + i;
    if (number == 0 || number > lines.size()) break;
    if (lines[number - 1] == record.lines[i]) continue;
    view.findings.push_back(
        fmt::format("line {} is not what was copied to the repository", number));
    break;
  }
}

// With every record: a log that was set back and went on agrees with the last ones.
void compare_with_repository(AuditView& view, const Config& config,
                             const std::vector<std::string>& lines, const std::stop_token& stop) {
  const auto repository = open_repository(config.repositories.front(), stop);
  const std::string log = log_of(lines);
  const std::string place = fmt::format("{}:{}", host_name(), config.state_directory.string());
  auto names = list_audit_records(*repository, config.cluster, std::nullopt, stop);
  std::ranges::reverse(names);
  if (names.size() > kRecordsSearched) names.resize(kRecordsSearched);
  bool has_copy = false;
  std::optional<std::string> other_log;
  for (const std::string& name : names) {
    const auto record = read_or_find(view, *repository, name, stop);
    if (!record) continue;
    if (record->log == log) {
      has_copy = true;
      compare(view, lines, *record);
      if (!view.findings.empty()) return;
    } else if (record->place == place && !other_log) {
      other_log = name;
    }
  }
  if (has_copy) return;
  if (!other_log) return view.notes.push_back("the repository has no copy of this log yet");
  view.findings.push_back(
      fmt::format("the log here was begun anew: the repository has another one of this place ({})",
                  *other_log));
}

// One log of many, put together from its copies.
struct CopiedLog {
  std::string place;
  std::map<std::uint64_t, std::string> lines;
};

void add_copy(AuditView& view, CopiedLog& log, const AuditRecord& record, const std::string& name) {
  log.place = record.place;
  for (std::size_t i = 0; i < record.lines.size(); ++i) {
    const auto [at, fresh] = log.lines.try_emplace(record.first + i, record.lines[i]);
    if (fresh || at->second == record.lines[i]) continue;
    view.findings.push_back(
        fmt::format("{}: line {} differs from an earlier copy of it", name, at->first));
  }
}

void verify_copies(AuditView& view, const std::map<std::string, CopiedLog>& logs,
                   const AuditQuery& query) {
  std::map<std::string, std::size_t> logs_at;
  for (const auto& [name, log] : logs) {
    std::vector<std::string> lines;
    for (const auto& [number, line] : log.lines) lines.push_back(line);
    // With --since the first lines are left out.
    const std::uint64_t first = query.since ? log.lines.begin()->first : 1;
    for (const std::string& finding : verify_audit_chain(lines, first)) {
      view.findings.push_back(fmt::format("{} ({}): {}", log.place, name, finding));
    }
    ++logs_at[log.place];
  }
  for (const auto& [place, count] : logs_at) {
    if (count > 1) view.notes.push_back(fmt::format("{} began its log {} times", place, count));
  }
}

}  // namespace

Timestamp parse_since(const Config& config, const std::string& text) {
  const Timestamp now = system_clock().now();
  if (const auto back = parse_duration(text)) return now - *back;
  return parse_day_or_time(text, now, known(TimeZone::find(config.timezone)));
}

AuditView show_audit_log(const Config& config, const AuditQuery& query,
                         const std::stop_token& stop) {
  AuditView view;
  const AuditText text = read_audit_log(config.state_directory);
  fill(view, text.lines, query);
  if (query.verify == AuditVerify::kNo) return view;
  view.findings = verify_audit_chain(text.lines);
  if (text.torn_bytes > 0) {
    view.notes.push_back(fmt::format(
        "{} bytes of an unfinished line stand at the end; the next command removes them",
        text.torn_bytes));
  }
  try {
    compare_with_repository(view, config, text.lines, stop);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kCancelled) throw;
    view.not_compared = error;
  }
  return view;
}

AuditView show_audit_copies(const Config& config, const RepositoryConfig& repository,
                            const AuditQuery& query, const std::stop_token& stop) {
  const auto opened = open_repository(repository, stop);
  const auto names = list_audit_records(*opened, config.cluster, query.since, stop);
  std::vector<std::optional<AuditRecord>> records(names.size());
  std::vector<AuditView> damaged(names.size());
  parallel_for(names.size(), opened->store().capabilities().parallel_requests, stop,
               [&](std::size_t i, const std::stop_token& inner) {
                 records[i] = read_or_find(damaged[i], *opened, names[i], inner);
               });
  check_cancelled(stop);
  AuditView view;
  std::map<std::string, CopiedLog> logs;
  for (std::size_t i = 0; i < names.size(); ++i) {
    std::ranges::move(damaged[i].findings, std::back_inserter(view.findings));
    if (const auto& record = records[i]) add_copy(view, logs[record->log], *record, names[i]);
  }
  std::vector<std::string> lines;
  for (const auto& [name, log] : logs) {
    for (const auto& [number, line] : log.lines) lines.push_back(line);
  }
  fill(view, lines, query);
  if (query.verify == AuditVerify::kYes) verify_copies(view, logs, query);
  return view;
}

}  // namespace holdfast
