#include "app/notify.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/config_keys.h"
#include "app/notify_ways.h"
#include "app/open.h"
#include "app/version.h"
#include "core/cancellation.h"
#include "core/parallel.h"
#include "core/redact.h"
#include "core/text.h"
#include "repository/names.h"
#include "system/files.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t kInvocationBytesMax = 200;
constexpr std::string_view kFailure = "failure";

struct CommandEvent {
  std::string_view command, event;
};
constexpr CommandEvent kEvents[] = {{"backup", "backup"},
                                    {"verify", "verify"},
                                    {"check", "check"},
                                    {"drill", "drill"},
                                    {"expire", "expire"},
                                    {"copy", "copy"},
                                    {"recover promote", "promotion"},
                                    {"recover rollback", "rollback"}};

bool has_word(const std::string& list, std::string_view word) {
  const std::vector<std::string> words = split_list(list);
  return std::ranges::find(words, word) != words.end();
}

std::string way_of(const NotifyConfig& notify) {
  if (!notify.slack_webhook_file.empty()) return "slack";
  if (!notify.webhook.url.empty()) return "webhook";
  return notify.email.server.empty() ? "command" : "email";
}

std::string sentence_about(const Config& config, const Notice& notice) {
  const std::string what = notice.text.empty() ? fmt::format("holdfast {}", notice.command)
                                               : redact_secrets(notice.text);
  std::string out = fmt::format("{} on {}: {}", config.cluster, host_name(), what);
  if (!notice.text.empty()) return out;
  if (notice.failed) {
    out += fmt::format(" FAILED (exit {})", notice.exit);
    if (notice.error) out += ": " + redact_secrets(notice.error->message());
    return out;
  }
  out += notice.warnings.empty() ? " done" : " done, with warnings";
  if (!notice.subject.empty()) out += ": " + notice.subject;
  return out;
}

Json document_of(const Config& config, const Notice& notice, const std::string& id,
                 const std::string& subject) {
  Json error;
  if (notice.error) {
    error = {{"kind", to_string(notice.error->kind())},
             {"message", redact_secrets(notice.error->message())},
             {"object", redact_secrets(notice.error->object())},
             {"hint", redact_secrets(notice.error->hint())}};
  }
  Json warnings = Json::array();
  for (const std::string& warning : notice.warnings) warnings.push_back(redact_secrets(warning));
  return {{"schema", 1},
          {"id", id},
          {"time", to_rfc3339(notice.time)},
          {"event", notice.event},
          {"severity", to_string(severity_of(notice))},
          {"failed", notice.failed},
          {"cluster", config.cluster},
          {"host", host_name()},
          {"command", notice.command},
          {"exit", notice.exit},
          {"summary", subject},
          {"subject", notice.subject},
          {"detail", redact_secrets(notice.detail)},
          {"error", error},
          {"warnings", warnings},
          {"duration_seconds", notice.duration_seconds},
          {"holdfast_version", holdfast_version()}};
}

void tell_once(const Config& config, const NotifyConfig& way, const Notice& notice,
               const NoticeText& text, const std::stop_token& stop) {
  if (!way.slack_webhook_file.empty()) return tell_slack(way, text, stop);
  if (!way.webhook.url.empty()) return tell_webhook(way, text, stop);
  if (!way.email.server.empty()) return tell_by_mail(way, text, notice.time, stop);
  prepare_state_directory(config);
  tell_command(way, text, config.state_directory, stop);
}

void pause(std::chrono::milliseconds duration, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any woken;
  std::unique_lock lock(mutex);
  woken.wait_for(lock, stop, duration, [] { return false; });
  check_cancelled(stop);
}

// The error names the way and not the object that it met: that may be a secret URL.
Error without_place(const Error& error, const std::string& way) {
  return {error.kind(),
          redact_secrets(error.message()),
          {.object = way, .hint = redact_secrets(error.hint()), .retryable = error.retryable()}};
}

}  // namespace

std::optional<std::string> notice_event(const std::string& command) {
  for (const CommandEvent& one : kEvents) {
    if (one.command == command) return std::string(one.event);
  }
  return std::nullopt;
}

std::string_view to_string(NotifySeverity severity) {
  switch (severity) {
    case NotifySeverity::kInfo:
      return "info";
    case NotifySeverity::kWarning:
      return "warning";
    case NotifySeverity::kError:
      return "error";
  }
  return "?";
}

NotifySeverity severity_of(const Notice& notice) {
  if (notice.failed) return NotifySeverity::kError;
  return notice.warnings.empty() ? NotifySeverity::kInfo : NotifySeverity::kWarning;
}

bool is_wanted(const NotifyConfig& way, const Notice& notice) {
  if (severity_of(notice) < way.minimum) return false;
  // Systemd saw a unit fail, whichever command it was and however it ended: it is for everybody.
  if (notice.event == kUnitEvent) return true;
  return has_word(way.on, notice.event) || (notice.failed && has_word(way.on, kFailure));
}

NoticeText compose(const Config& config, const Notice& notice) {
  NoticeText text{.id = new_backup_id(notice.time).text,
                  .subject = sentence_about(config, notice),
                  .body = {},
                  .json = {}};
  text.json = document_of(config, notice, text.id, text.subject)
                  .dump(2, ' ', false, Json::error_handler_t::replace) +
              "\n";
  text.body = text.subject + "\n";
  if (!notice.detail.empty()) text.body += redact_secrets(notice.detail) + "\n";
  if (notice.error && !notice.error->object().empty()) {
    text.body += fmt::format("object: {}\n", redact_secrets(notice.error->object()));
  }
  if (notice.error && !notice.error->hint().empty()) {
    text.body += fmt::format("hint: {}\n", redact_secrets(notice.error->hint()));
  }
  for (const std::string& warning : notice.warnings) {
    text.body += fmt::format("warning: {}\n", redact_secrets(warning));
  }
  text.body += fmt::format("time: {}", to_rfc3339_seconds(notice.time));
  if (notice.duration_seconds > 0) {
    text.body += fmt::format(", after {}", human_duration(Seconds(notice.duration_seconds)));
  }
  text.body += "\n";
  return text;
}

namespace {

Delivery deliver(const Config& config, std::size_t index, const Notice& notice,
                 const NoticeText& text, const NotifyOptions& options,
                 const std::stop_token& stop) {
  const NotifyConfig& way = config.notify[index];
  Delivery delivery{.way = fmt::format("notify.{} ({})", index + 1, way_of(way))};
  auto wait = options.first_pause;
  for (;;) {
    ++delivery.attempts;
    try {
      tell_once(config, way, notice, text, stop);
      delivery.error.reset();
      return delivery;
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kCancelled) throw;
      delivery.error = without_place(error, delivery.way);
    }
    if (!delivery.error->retryable() || delivery.attempts >= options.attempts) return delivery;
    pause(wait, stop);
    wait *= 2;
  }
}

}  // namespace

std::vector<Delivery> notify(const Config& config, const Notice& notice, NoticeAudience audience,
                             const std::stop_token& stop, const NotifyOptions& options) {
  std::vector<std::size_t> wanted;
  for (std::size_t i = 0; i < config.notify.size(); ++i) {
    if (audience == NoticeAudience::kEverybody || is_wanted(config.notify[i], notice)) {
      wanted.push_back(i);
    }
  }
  if (wanted.empty()) return {};
  const NoticeText text = compose(config, notice);
  std::vector<Delivery> deliveries(wanted.size());
  parallel_for(wanted.size(), wanted.size(), stop,
               [&](std::size_t i, const std::stop_token& inner) {
                 deliveries[i] = deliver(config, wanted[i], notice, text, options, inner);
               });
  check_cancelled(stop);
  return deliveries;
}

void remember_told(const Config& config, const std::string& invocation) {
  if (invocation.empty()) return;
  prepare_state_directory(config);
  publish_unsynced(config.state_directory / "notify.told", as_bytes(invocation + "\n"), 0600);
}

bool was_told(const Config& config, const std::string& invocation) {
  if (invocation.empty()) return false;
  const auto text = read_file(config.state_directory / "notify.told", kInvocationBytesMax);
  return text && *text == invocation + "\n";
}

}  // namespace holdfast
