#pragma once
// A small real SMTP server on a free port of 127.0.0.1, as a process of its own: with STARTTLS, TLS
// from the first byte, or none, a certificate for 127.0.0.1 that its own authority signed, and
// AUTH PLAIN and LOGIN. It keeps what it was sent. Ends when the object goes.
// Throws std::runtime_error. Threads: one at a time.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "support/process.h"
#include "support/temp_folder.h"

namespace holdfast::test {

enum class SmtpTls { kNone, kStartTls, kImplicit };

struct SmtpSettings {
  SmtpTls tls = SmtpTls::kStartTls;
  int refused_at_first = 0;  // so many messages get 451, "not now"
  std::string answer = {};   // to MAIL, always, in place of 250
};

struct TestMail {
  std::string from;
  std::vector<std::string> to;
  std::string user, password;
  bool encrypted = false;
  std::string message;  // as it came, dots undone
};

class SmtpServer {
 public:
  explicit SmtpServer(const SmtpSettings& settings = {});

  std::uint16_t port() const { return port_; }
  std::string url() const;  // "smtp://127.0.0.1:PORT"
  std::filesystem::path ca_file() const { return folder_ / "cert.pem"; }
  // Oldest first.
  std::vector<TestMail> mails() const;
  int attempts() const;  // how often MAIL was said

 private:
  SmtpSettings settings_;
  TempFolder folder_;
  Process process_;
  std::uint16_t port_ = 0;
};

// What stands in lines of base64.
std::string from_base64(const std::string& text);

}  // namespace holdfast::test
