#pragma once
// Tells people what became of a command: Slack, a webhook, e-mail or a command, as `notify` of the
// configuration says.
//
// A way that fails is tried again, with growing pauses, as long as NotifyOptions allows, and no
//   longer: telling never fails the work, nor holds it up for long. Ways are served side by side.
// What is told is whole in itself: event, cluster, host, command, outcome, error, duration.
// The body that a webhook gets is docs/json.md's; its signature is HMAC-SHA-256 of exactly these
//   bytes, in hexadecimal: "X-Holdfast-Signature: sha256=…".
// Secrets (the webhook of Slack, keys, passwords) come from files that nobody else may read, and
//   are in no message of an error.
// Threads: any.

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "app/config.h"
#include "core/error.h"
#include "core/time.h"

namespace holdfast {

inline constexpr std::string_view kUnitEvent = "unit";  // of `notify --unit`: for everybody

struct Notice {
  std::string event;  // one of those that `on` takes; a test and a unit have their own
  std::string command;
  int exit = 0;
  std::optional<Error> error = {};
  std::vector<std::string> warnings = {};
  std::string subject = {};  // the id of a backup
  std::string detail = {};   // one line: what was reached, or what was wrong
  std::string text = {};     // what is not a command's end: in place of the sentence about it
  double duration_seconds = 0;
  Timestamp time{};
  bool failed = false;
};

// The event of a command's end; nullopt for a command that nobody is told about.
std::optional<std::string> notice_event(const std::string& command);

NotifySeverity severity_of(const Notice& notice);
std::string_view to_string(NotifySeverity severity);
bool is_wanted(const NotifyConfig& notify, const Notice& notice);

struct NoticeText {
  std::string id;
  std::string subject;  // one line
  std::string body;     // lines for people, the first is the subject
  std::string json;
};
NoticeText compose(const Config& config, const Notice& notice);

struct NotifyOptions {
  int attempts = 4;
  std::chrono::milliseconds first_pause{1'000};  // doubled each time
};

struct Delivery {
  std::string way;  // "notify.1 (slack)"
  int attempts = 0;
  std::optional<Error> error = {};  // of the last attempt; none: it was taken
};

enum class NoticeAudience { kWhoeverWantsIt, kEverybody };
// Empty when nobody wants it. Throws nothing but kCancelled.
std::vector<Delivery> notify(const Config& config, const Notice& notice, NoticeAudience audience,
                             const std::stop_token& stop, const NotifyOptions& options = {});

// systemd starts a second unit for a unit that failed; what that one's command told already needs
// no second message. `invocation`: $INVOCATION_ID of the first, $MONITOR_INVOCATION_ID of the
// other.
void remember_told(const Config& config, const std::string& invocation);
bool was_told(const Config& config, const std::string& invocation);

}  // namespace holdfast
