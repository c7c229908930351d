#include "app/notify_ways.h"

#include <array>
#include <ctime>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <signal.h>

#include "app/config_keys.h"
#include "app/open.h"
#include "core/bytes.h"
#include "core/cancellation.h"
#include "seal/secret.h"
#include "system/child_process.h"
#include "system/files.h"
#include "system/http_client.h"
#include "system/smtp_client.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kConnectTimeout{5'000};
constexpr std::chrono::milliseconds kAnswerTimeout{10'000};
constexpr std::size_t kNoticeAnswerBytesMax = std::size_t{64} << 10U;
constexpr std::size_t kOutputShownMax = 500;
constexpr std::size_t kOutputBytesMax = std::size_t{16} << 20U;
constexpr int kTooManyRequests = 429;
constexpr int kRequestTimeout = 408;

void post(const std::string& url, const std::string& body, std::vector<HttpHeader> headers,
          const std::string& ca_file, const std::stop_token& stop) {
  HttpClient client({.failure_kind = ErrorKind::kHost,
                     .ca_file = ca_file,
                     .connect_timeout = kConnectTimeout,
                     .total_timeout = kAnswerTimeout});
  headers.push_back({"Content-Type", "application/json"});
  const HttpResponse answer = client.request({.method = "POST",
                                              .url = url,
                                              .headers = std::move(headers),
                                              .body = as_bytes(body),
                                              .response_bytes_max = kNoticeAnswerBytesMax},
                                             stop);
  if (answer.status >= 200 && answer.status < 300) return;
  throw Error(ErrorKind::kHost, fmt::format("the server answered {}", answer.status),
              {.retryable = answer.status >= 500 || answer.status == kTooManyRequests ||
                            answer.status == kRequestTimeout});
}

// What Slack takes for markup.
std::string escaped_for_slack(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else {
      out += c;
    }
  }
  return out;
}

std::string mail_date(Timestamp time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::system_clock::duration>(time));
  std::tm parts{};
  static_cast<void>(::gmtime_r(&seconds, &parts));  // fails beyond the year 2^31 only
  // strftime would follow the locale.
  constexpr std::array<const char*, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array<const char*, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  return fmt::format("{}, {} {} {} {:02}:{:02}:{:02} +0000",
                     kDays[static_cast<std::size_t>(parts.tm_wday)], parts.tm_mday,
                     kMonths[static_cast<std::size_t>(parts.tm_mon)], parts.tm_year + 1900,
                     parts.tm_hour, parts.tm_min, parts.tm_sec);
}

// The folder of one message to a command, gone with what is in it.
class MessageFolder {
 public:
  explicit MessageFolder(const fs::path& parent) {
    std::array<std::byte, 8> random{};
    fill_random(random);
    path_ = parent / ("notify-" + to_hex(random));
    make_folders(path_, 0700);
  }
  MessageFolder(const MessageFolder&) = delete;
  MessageFolder& operator=(const MessageFolder&) = delete;
  ~MessageFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path operator/(std::string_view name) const { return path_ / name; }

 private:
  fs::path path_;
};

std::string output_of(const fs::path& log) {
  std::string text = read_file(log, kOutputBytesMax).value_or("");
  if (text.size() > kOutputShownMax) text = text.substr(text.size() - kOutputShownMax);
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

void tell_slack(const NotifyConfig& notify, const NoticeText& text, const std::stop_token& stop) {
  const nlohmann::json body{{"text", escaped_for_slack(text.body)}};
  post(read_secret_file(notify.slack_webhook_file),
       body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), {}, {}, stop);
}

void tell_webhook(const NotifyConfig& notify, const NoticeText& text, const std::stop_token& stop) {
  std::vector<HttpHeader> headers{{"X-Holdfast-Id", text.id}};
  if (!notify.webhook.secret_file.empty()) {
    const std::string key = read_secret_file(notify.webhook.secret_file);
    headers.push_back({"X-Holdfast-Signature",
                       "sha256=" + to_hex(hmac_sha256(as_bytes(key), as_bytes(text.json)))});
  }
  post(notify.webhook.url, text.json, std::move(headers), notify.webhook.ca_file, stop);
}

void tell_by_mail(const NotifyConfig& notify, const NoticeText& text, Timestamp time,
                  const std::stop_token& stop) {
  const NotifyConfig::Email& email = notify.email;
  MailServer server{.url = email.server,
                    .user = email.user,
                    .ca_file = email.ca_file,
                    .tls = email.tls ? MailTls::kRequired : MailTls::kNone};
  if (!email.password_file.empty()) server.password = read_secret_file(email.password_file);
  send_mail(server,
            {.from = email.from,
             .to = split_list(email.to),
             .subject = text.subject,
             .text = text.body,
             .message_id = fmt::format("{}@{}", text.id, host_name()),
             .date = mail_date(time)},
            stop);
}

void tell_command(const NotifyConfig& notify, const NoticeText& text, const fs::path& folder,
                  const std::stop_token& stop) {
  const MessageFolder message(folder);
  const fs::path document = message / "notice.json", log = message / "output";
  publish_unsynced(document, as_bytes(text.json), 0600);
  ChildProcess child({.program = "/bin/sh",
                      .arguments = {"-c", notify.command.run + " \"$1\"", "holdfast", document},
                      .log = log});
  const auto ended = child.wait(notify.command.timeout, stop);
  // It leads a group of its own: whatever it started goes with it.
  if (!ended) ::kill(-child.pid(), SIGKILL);
  check_cancelled(stop);
  if (!ended) {
    throw Error(ErrorKind::kHost, "the command did not end in time and was killed",
                {.retryable = false});
  }
  if (*ended == 0) return;
  throw Error(ErrorKind::kHost,
              fmt::format("the command exited with {}: {}", *ended, output_of(log)),
              {.retryable = true});
}

}  // namespace holdfast
