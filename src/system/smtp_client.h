#pragma once
// Sends one message by SMTP, with libcurl.
//
// TLS: with smtps:// from the first byte; with smtp:// by STARTTLS, and a server that does not
// offer
//   it is an error, unless the caller allows plain text. The certificate is always checked.
// Errors: Error(kHost), retryable unless trying again cannot help (a certificate, an address or a
//   password that is refused). The password is in no message. A stop request ends it with
//   kCancelled; whether the server has the message is then unknown, as after any error.
// Sources: SMTP is RFC 5321, the message's form RFC 5322 and RFC 2045 to 2047. Threads: any.

#include <chrono>
#include <stop_token>
#include <string>
#include <vector>

namespace holdfast {

enum class MailTls { kRequired, kNone };

struct MailServer {
  std::string url;  // smtp://host:587, smtps://host:465
  std::string user = {}, password = {};
  std::string ca_file = {};  // PEM; empty: the machine's authorities
  MailTls tls = MailTls::kRequired;
  std::chrono::milliseconds connect_timeout{5'000}, total_timeout{15'000};
};

struct Mail {
  std::string from;  // addresses without names: a@example.org
  std::vector<std::string> to;
  std::string subject, text;  // UTF-8
  std::string message_id;     // without < and >
  std::string date;           // as RFC 5322 has it
};

// What goes over the wire, without the doubling of dots: headers and the text in base64.
std::string mail_message(const Mail& mail);

void send_mail(const MailServer& server, const Mail& mail, const std::stop_token& stop);

}  // namespace holdfast
