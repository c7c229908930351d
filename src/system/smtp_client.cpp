#include "system/smtp_client.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/cancellation.h"
#include "core/error.h"
#include "system/libcurl.h"

namespace holdfast {
namespace {

constexpr std::size_t kBase64LineLength = 76;
// An encoded word is at most 75 characters long; this leaves room for its frame.
constexpr std::size_t kSubjectBytesPerWord = 42;
constexpr std::size_t kSubjectBytesMax = 200;
constexpr long kMailRefused = 500;  // from here on the server says "never", below "not now"

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = group << 8U | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out += k <= count ? kDigits[group >> (18 - 6 * k) & 63U] : '=';
    }
  }
  return out;
}

bool begins_character(char c) {
  return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U;
}

// A header stays one line, whatever was put into the text.
std::string one_line(std::string_view text) {
  std::size_t length = std::min(text.size(), kSubjectBytesMax);
  while (length < text.size() && length > 0 && !begins_character(text[length])) --length;
  std::string out(text.substr(0, length));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return out;
}

// RFC 2047: words of base64, none of which cuts a character of UTF-8 in two.
std::string subject_words(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = std::min(text.size(), at + kSubjectBytesPerWord);
    while (end < text.size() && end > at + 1 && !begins_character(text[end])) --end;
    out += fmt::format("{}=?utf-8?B?{}?=", out.empty() ? "" : "\r\n ",
                       base64(std::string_view(text).substr(at, end - at)));
    at = end;
  }
  return out;
}

struct MailText {
  std::string text;
  std::size_t sent = 0;
};

std::size_t on_mail_read(char* out, std::size_t size, std::size_t count, void* self) {
  auto& mail = *static_cast<MailText*>(self);
  const std::size_t bytes = std::min(size * count, mail.text.size() - mail.sent);
  if (bytes > 0) std::memcpy(out, mail.text.data() + mail.sent, bytes);
  mail.sent += bytes;
  return bytes;
}

int on_mail_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<const std::stop_token*>(self)->stop_requested() ? 1 : 0;
}

std::size_t ignore_answer(char*, std::size_t size, std::size_t count, void*) {
  return size * count;
}

struct MailHandle {
  MailHandle() : easy(libcurl().easy_init()) {
    if (easy == nullptr) throw Error(ErrorKind::kHost, "libcurl has no memory for a handle");
  }
  MailHandle(const MailHandle&) = delete;
  MailHandle& operator=(const MailHandle&) = delete;
  ~MailHandle() {
    libcurl().easy_cleanup(easy);
    libcurl().slist_free_all(recipients);
  }

  template <class Value>
  void set(CURLoption option, Value value) {
    if (libcurl().easy_setopt(easy, option, value) != CURLE_OK) {
      throw Error(ErrorKind::kHost, fmt::format("libcurl refuses option {}", int{option}));
    }
  }
  void add_recipient(const std::string& address) {
    curl_slist* longer = libcurl().slist_append(recipients, fmt::format("<{}>", address).c_str());
    if (longer == nullptr) throw Error(ErrorKind::kHost, "no memory for a mail's recipients");
    recipients = longer;
  }

  CURL* easy;
  curl_slist* recipients = nullptr;
};

void set_up(MailHandle& handle, const MailServer& server) {
  handle.set(CURLOPT_URL, server.url.c_str());
  handle.set(CURLOPT_PROTOCOLS_STR, "smtp,smtps");
  handle.set(CURLOPT_NOSIGNAL, 1L);
  handle.set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(server.connect_timeout.count()));
  handle.set(CURLOPT_TIMEOUT_MS, static_cast<long>(server.total_timeout.count()));
  handle.set(
      CURLOPT_USE_SSL,
      static_cast<long>(server.tls == MailTls::kRequired ? CURLUSESSL_ALL : CURLUSESSL_NONE));
  handle.set(CURLOPT_SSL_VERIFYPEER, 1L);
  handle.set(CURLOPT_SSL_VERIFYHOST, 2L);
  if (!server.ca_file.empty()) {
    handle.set(CURLOPT_CAINFO, server.ca_file.c_str());
    handle.set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
  }
  if (!server.user.empty()) {
    handle.set(CURLOPT_USERNAME, server.user.c_str());
    handle.set(CURLOPT_PASSWORD, server.password.c_str());
  }
}

bool is_worth_repeating(CURLcode code, long answer) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_USE_SSL_FAILED:
    case CURLE_LOGIN_DENIED:
      return false;
    default:
      return answer < kMailRefused;
  }
}

std::string mail_hint(CURLcode code) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
      return "The server's certificate is not trusted: name its authority in ca_file.";
    case CURLE_USE_SSL_FAILED:
      return "The server offers no TLS. Only for one on this machine: tls: none.";
    case CURLE_LOGIN_DENIED:
      return "The server refuses user and password.";
    default:
      return {};
  }
}

}  // namespace

std::string mail_message(const Mail& mail) {
  std::string out = fmt::format(
      "Date: {}\r\nFrom: <{}>\r\nTo: <{}>\r\nMessage-ID: <{}>\r\nSubject: {}\r\n"
      "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
      "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
      mail.date, mail.from, fmt::join(mail.to, ">, <"), mail.message_id,
      subject_words(one_line(mail.subject)));
  const std::string text = base64(mail.text);
  for (std::size_t at = 0; at < text.size(); at += kBase64LineLength) {
    out += text.substr(at, kBase64LineLength) + "\r\n";
  }
  return out;
}

void send_mail(const MailServer& server, const Mail& mail, const std::stop_token& stop) {
  check_cancelled(stop);
  MailHandle handle;
  MailText text{mail_message(mail)};
  std::array<char, CURL_ERROR_SIZE> why{};
  set_up(handle, server);
  handle.set(CURLOPT_ERRORBUFFER, why.data());
  handle.set(CURLOPT_MAIL_FROM, fmt::format("<{}>", mail.from).c_str());
  for (const std::string& address : mail.to) handle.add_recipient(address);
  handle.set(CURLOPT_MAIL_RCPT, handle.recipients);
  handle.set(CURLOPT_UPLOAD, 1L);
  handle.set(CURLOPT_READFUNCTION, on_mail_read);
  handle.set(CURLOPT_READDATA, static_cast<void*>(&text));
  handle.set(CURLOPT_WRITEFUNCTION, ignore_answer);
  handle.set(CURLOPT_NOPROGRESS, 0L);
  handle.set(CURLOPT_XFERINFOFUNCTION, on_mail_progress);
  handle.set(CURLOPT_XFERINFODATA, const_cast<std::stop_token*>(&stop));
  const CURLcode code = libcurl().easy_perform(handle.easy);
  if (code == CURLE_OK) return;
  check_cancelled(stop);
  long answer = 0;
  libcurl().easy_getinfo(handle.easy, CURLINFO_RESPONSE_CODE, &answer);
  throw Error(ErrorKind::kHost,
              fmt::format("the mail was not taken: {}",
                          why[0] != '\0' ? why.data() : libcurl().easy_strerror(code)),
              {.object = server.url,
               .hint = mail_hint(code),
               .retryable = is_worth_repeating(code, answer)});
}

}  // namespace holdfast
