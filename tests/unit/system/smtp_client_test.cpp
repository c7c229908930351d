// Sending mail, to a real server on this machine.
#include "system/smtp_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "support/smtp_server.h"
#include "support/test_http_server.h"

namespace holdfast {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const std::stop_token kNoStop;

Mail a_mail() {
  return {.from = "holdfast@example.org",
          .to = {"one@example.org", "two@example.org"},
          .subject = "Sicherung: größer als 1 TiB",
          .text = "a line\n.a line with a dot\nünicode\n",
          .message_id = "id@host",
          .date = "Sun, 22 Nov 2026 02:00:00 +0000"};
}

MailServer to(const test::SmtpServer& server) {
  return {.url = server.url(), .ca_file = server.ca_file()};
}

Error refused(const MailServer& server) {
  try {
    send_mail(server, a_mail(), kNoStop);
  } catch (const Error& error) {
    return error;
  }
  return {ErrorKind::kBug, "it was sent"};
}

std::string body_of(const std::string& message) {
  return test::from_base64(message.substr(message.find("\n\n")));
}

TEST(SmtpClient, SendsOverTlsBothWays) {
  for (const test::SmtpTls tls : {test::SmtpTls::kStartTls, test::SmtpTls::kImplicit}) {
    const test::SmtpServer server({.tls = tls});
    MailServer with = to(server);
    with.user = "u";
    with.password = "secret";
    send_mail(with, a_mail(), kNoStop);
    ASSERT_THAT(server.mails(), SizeIs(1));
    const test::TestMail mail = server.mails()[0];
    EXPECT_TRUE(mail.encrypted);
    EXPECT_EQ(mail.from, "holdfast@example.org");
    EXPECT_THAT(mail.to, ElementsAre("one@example.org", "two@example.org"));
    EXPECT_EQ(mail.user, "u");
    EXPECT_EQ(mail.password, "secret");
    EXPECT_EQ(body_of(mail.message), a_mail().text);
    EXPECT_THAT(mail.message, HasSubstr("Subject: =?utf-8?B?"));
    EXPECT_THAT(mail.message, HasSubstr("To: <one@example.org>, <two@example.org>"));
  }
}

TEST(SmtpClient, SendsNothingInPlainTextUnlessAllowed) {
  const test::SmtpServer server({.tls = test::SmtpTls::kNone});
  MailServer plain = to(server);
  EXPECT_FALSE(refused(plain).retryable());
  EXPECT_THAT(server.mails(), IsEmpty());
  plain.tls = MailTls::kNone;
  send_mail(plain, a_mail(), kNoStop);
  EXPECT_THAT(server.mails(), SizeIs(1));
}

TEST(SmtpClient, RefusesACertificateThatNobodyVouchesFor) {
  const test::SmtpServer server, other;
  MailServer wrong = to(server);
  wrong.ca_file = other.ca_file();
  const Error error = refused(wrong);
  EXPECT_THAT(error.hint(), HasSubstr("ca_file"));
  EXPECT_FALSE(error.retryable());
  EXPECT_THAT(server.mails(), IsEmpty());
}

TEST(SmtpClient, TellsNotNowFromNever) {
  const test::SmtpServer later({.answer = "451 not now"}), never({.answer = "550 never"});
  EXPECT_TRUE(refused(to(later)).retryable());
  EXPECT_FALSE(refused(to(never)).retryable());
  MailServer with_password = to(later);
  with_password.user = "u";
  with_password.password = "wrong";
  const Error denied = refused(with_password);
  EXPECT_FALSE(denied.retryable());
  EXPECT_THAT(denied.message(), testing::Not(HasSubstr("wrong")));
}

TEST(SmtpClient, NobodyThereIsWorthAnotherAttempt) {
  const Error error = refused({.url = "smtp://127.0.0.1:" + std::to_string(test::free_port())});
  EXPECT_EQ(error.kind(), ErrorKind::kHost);
  EXPECT_TRUE(error.retryable());
}

TEST(SmtpClient, AHeaderStaysOneLineAndKeepsItsCharactersWhole) {
  Mail mail = a_mail();
  mail.subject = "x\r\nBcc: evil@example.org";
  for (int i = 0; i < 30; ++i) mail.subject += "ü";
  const std::string message = mail_message(mail);
  EXPECT_THAT(message, testing::Not(HasSubstr("Bcc:")));
  std::string subject;
  for (std::size_t at = 0; (at = message.find("=?utf-8?B?", at)) != std::string::npos;) {
    at += 10;
    const std::string word = test::from_base64(message.substr(at, message.find("?=", at) - at));
    EXPECT_NE(static_cast<unsigned char>(word[0]) & 0xc0U, 0x80U) << "begins within a character";
    subject += word;
  }
  EXPECT_THAT(subject, HasSubstr("Bcc: evil@example.orgü"));
}

}  // namespace
}  // namespace holdfast
