#include "support/smtp_server.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace holdfast::test {
namespace {

constexpr const char* kServer = R"(
import base64, json, socket, ssl, sys, threading
folder, tls, refused, answer = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder + "/cert.pem", folder + "/key.pem")
lock, state = threading.Lock(), {"attempts": 0, "refused": refused}

def note(name, line):
    with lock, open(folder + "/" + name, "a") as file:
        file.write(line + "\n")

def text_of(word):
    return base64.b64decode(word).decode()

def serve(connection):
    encrypted = tls == "implicit"
    if encrypted:
        connection = context.wrap_socket(connection, server_side=True)
    file = connection.makefile("rb")
    def say(text):
        connection.sendall((text + "\r\n").encode())
    def hear():
        return file.readline().decode().rstrip("\r\n")
    mail = {"from": "", "to": [], "user": "", "password": "", "encrypted": False}
    say("220 test")
    while True:
        line = hear()
        word = line.split(" ")[0].upper()
        if word in ("", "QUIT"):
            if word: say("221 bye")
            return
        elif word == "EHLO":
            offers = ["test", "AUTH PLAIN LOGIN"]
            if tls == "starttls" and not encrypted: offers.append("STARTTLS")
            for i, offer in enumerate(offers):
                say("250" + (" " if i + 1 == len(offers) else "-") + offer)
        elif word == "STARTTLS" and tls == "starttls":
            say("220 go on")
            connection = context.wrap_socket(connection, server_side=True)
            file, encrypted = connection.makefile("rb"), True
        elif word == "AUTH":
            parts = line.split(" ")
            if parts[1].upper() == "PLAIN":
                if len(parts) < 3: say("334 "); parts.append(hear())
                _, mail["user"], mail["password"] = text_of(parts[2]).split("\0")
            else:
                if len(parts) < 3: say("334 VXNlcm5hbWU6"); parts.append(hear())
                mail["user"] = text_of(parts[2])
                say("334 UGFzc3dvcmQ6")
                mail["password"] = text_of(hear())
            say("235 ok" if mail["password"] != "wrong" else "535 no")
        elif word == "MAIL":
            note("attempts", line)
            with lock:
                later = state["refused"] > 0
                state["refused"] -= 1
            if answer: say(answer)
            elif later: say("451 not now")
            else:
                mail["from"] = line.split("<")[1].split(">")[0]
                mail["encrypted"] = encrypted
                say("250 ok")
        elif word == "RCPT":
            mail["to"].append(line.split("<")[1].split(">")[0])
            say("250 ok")
        elif word == "DATA":
            say("354 go on")
            lines = []
            while (line := hear()) != ".":
                lines.append(line[1:] if line.startswith(".") else line)
            note("mails", json.dumps(mail | {"message": "\n".join(lines)}))
            say("250 taken")
        else:
            say("502 unknown")

def guarded(connection):
    try:
        serve(connection)
    except Exception as error:
        print(repr(error), file=sys.stderr, flush=True)
    finally:
        connection.close()

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], "ready", flush=True)
while True:
    connection, _ = listener.accept()
    threading.Thread(target=guarded, args=(connection,), daemon=True).start()
)";

std::string word_for(SmtpTls tls) {
  return tls == SmtpTls::kNone ? "none" : tls == SmtpTls::kStartTls ? "starttls" : "implicit";
}

Process start_server(const TempFolder& folder, const SmtpSettings& settings) {
  run_or_throw(
      {.arguments = {"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
                     "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                     (folder / "key.pem").string(), "-out", (folder / "cert.pem").string()}});
  write_text(folder / "server.py", kServer);
  return Process({.arguments = {"/usr/bin/python3", (folder / "server.py").string(),
                                folder.path().string(), word_for(settings.tls),
                                std::to_string(settings.refused_at_first), settings.answer}});
}

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::vector<std::string> lines;
  if (!std::filesystem::exists(path)) return lines;
  std::string text = read_text(path);
  for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos;
       at = end + 1) {
    lines.push_back(text.substr(at, end - at));
  }
  return lines;
}

}  // namespace

SmtpServer::SmtpServer(const SmtpSettings& settings)
    : settings_(settings), process_(start_server(folder_, settings)) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (process_.out().find("ready") == std::string::npos) {
    if (!process_.running() || std::chrono::steady_clock::now() > limit) {
      throw std::runtime_error("the SMTP server did not start: " + process_.err());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  port_ = static_cast<std::uint16_t>(std::stoi(process_.out()));
}

std::string SmtpServer::url() const {
  return fmt::format("{}://127.0.0.1:{}", settings_.tls == SmtpTls::kImplicit ? "smtps" : "smtp",
                     port_);
}

std::vector<TestMail> SmtpServer::mails() const {
  std::vector<TestMail> mails;
  for (const std::string& line : lines_of(folder_ / "mails")) {
    const auto json = nlohmann::json::parse(line);
    mails.push_back({.from = json.at("from"),
                     .to = json.at("to").get<std::vector<std::string>>(),
                     .user = json.at("user"),
                     .password = json.at("password"),
                     .encrypted = json.at("encrypted"),
                     .message = json.at("message")});
  }
  return mails;
}

int SmtpServer::attempts() const {
  return static_cast<int>(lines_of(folder_ / "attempts").size());
}

std::string from_base64(const std::string& text) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  unsigned bits = 0, held = 0;
  for (const char c : text) {
    const std::size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) continue;
    bits = (bits << 6U | static_cast<unsigned>(digit)) & 0xfffffU;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out += static_cast<char>(bits >> held & 0xffU);
  }
  return out;
}

}  // namespace holdfast::test
