#include "support/test_http_server.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace holdfast::test {
namespace {

constexpr std::size_t kHeadBytesMax = std::size_t{256} << 10U;

int listen_on(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw std::runtime_error("socket failed");
  const int one = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd, 128) != 0) {
    ::close(fd);
    return -1;
  }
  return fd;
}

std::uint16_t port_of(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

std::string trimmed(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// One connection: a buffer over a socket.
class Connection {
 public:
  explicit Connection(int fd) : fd_(fd) {}

  // False at the end of the connection.
  bool read(TestRequest& request) {
    std::size_t end = std::string::npos;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (buffer_.size() > kHeadBytesMax || !fill()) return false;
    }
    parse_head(buffer_.substr(0, end), request);
    buffer_.erase(0, end + 4);
    const std::string length = request.header("content-length");
    const std::size_t wanted = length.empty() ? 0 : std::stoul(length);
    while (buffer_.size() < wanted) {
      if (!fill()) return false;
    }
    request.body = buffer_.substr(0, wanted);
    buffer_.erase(0, wanted);
    return true;
  }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

 private:
  bool fill() {
    char block[65536];
    const ssize_t count = ::recv(fd_, block, sizeof block, 0);
    if (count <= 0) return false;
    buffer_.append(block, static_cast<std::size_t>(count));
    return true;
  }

  static void parse_head(const std::string& head, TestRequest& request) {
    const std::size_t line_end = std::min(head.find("\r\n"), head.size());
    const std::string line = head.substr(0, line_end);
    const std::size_t first = line.find(' ');
    const std::size_t last = line.rfind(' ');
    if (first == std::string::npos || last <= first) return;
    request.method = line.substr(0, first);
    request.target = line.substr(first + 1, last - first - 1);
    std::size_t at = line_end;
    while (at < head.size()) {
      at += 2;
      const std::size_t end = std::min(head.find("\r\n", at), head.size());
      const std::string field = head.substr(at, end - at);
      const std::size_t colon = field.find(':');
      if (colon != std::string::npos) {
        std::string& value = request.headers[lower_case(field.substr(0, colon))];
        if (!value.empty()) value += ',';
        value += trimmed(field.substr(colon + 1));
      }
      at = end;
    }
  }

  int fd_;
  std::string buffer_;
};

}  // namespace

std::uint16_t free_port(std::uint16_t count) {
  constexpr int kTriesMax = 200;
  for (int attempt = 0; attempt < kTriesMax; ++attempt) {
    std::vector<int> held{listen_on(0)};
    const std::uint16_t first = port_of(held[0]);
    for (std::uint16_t i = 1; i < count && held.back() >= 0; ++i) {
      held.push_back(first > 65535 - count ? -1 : listen_on(static_cast<std::uint16_t>(first + i)));
    }
    const bool all_free = std::find(held.begin(), held.end(), -1) == held.end();
    for (const int fd : held) {
      if (fd >= 0) ::close(fd);
    }
    if (all_free) return first;
  }
  throw std::runtime_error("no free ports");
}

std::string TestRequest::header(const std::string& lower_case_name) const {
  const auto found = headers.find(lower_case_name);
  return found == headers.end() ? std::string() : found->second;
}

class TestHttpServer::Impl {
 public:
  explicit Impl(Handler handler) : handler_(std::move(handler)), listener_(listen_on(0)) {
    if (listener_ < 0) throw std::runtime_error("cannot listen on 127.0.0.1");
    port = port_of(listener_);
    acceptor_ = std::jthread([this] { accept_all(); });
  }

  ~Impl() {
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    {
      const std::lock_guard lock(mutex);
      stopping_ = true;
      for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    delayed_.notify_all();
    threads_.clear();  // joins
    ::close(listener_);
  }

  std::uint16_t port = 0;
  std::atomic<std::size_t> accepted{0};
  std::mutex mutex;
  std::vector<TestRequest> seen;  // guarded by mutex

 private:
  void accept_all() {
    for (;;) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      const int one = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      ++accepted;
      const std::lock_guard lock(mutex);
      open_.insert(fd);
      threads_.emplace_back([this, fd] { serve(fd); });
    }
  }

  void serve(int fd) {
    Connection connection(fd);
    TestRequest request;
    while (connection.read(request)) {
      {
        const std::lock_guard lock(mutex);
        seen.push_back(request);
      }
      const TestAnswer answer = handler_(request);
      if (!wait(answer.delay) || answer.drop || !send(connection, request, answer)) break;
      request = {};
    }
    const std::lock_guard lock(mutex);
    open_.erase(fd);
    ::close(fd);
  }

  // False when the server goes meanwhile.
  bool wait(std::chrono::milliseconds delay) {
    std::unique_lock lock(mutex);
    if (delay.count() == 0) return !stopping_;
    return !delayed_.wait_for(lock, delay, [this] { return stopping_; });
  }

  // False when the connection is to be closed.
  static bool send(Connection& connection, const TestRequest& request, const TestAnswer& answer) {
    std::string head = fmt::format("HTTP/1.1 {} Test\r\n", answer.status);
    bool has_length = answer.without_length || answer.status == 204;
    for (const auto& [name, value] : answer.headers) {
      head += fmt::format("{}: {}\r\n", name, value);
      has_length = has_length || lower_case(name) == "content-length";
    }
    if (!has_length) head += fmt::format("Content-Length: {}\r\n", answer.body.size());
    std::string_view body = answer.body;
    if (request.method == "HEAD") body = {};
    if (answer.cut_after) body = body.substr(0, *answer.cut_after);
    const bool sent = connection.send(head + "\r\n") && connection.send(body);
    return sent && !answer.cut_after && !answer.without_length;
  }

  const Handler handler_;
  const int listener_;
  std::jthread acceptor_;
  std::condition_variable delayed_;
  bool stopping_ = false;              // guarded by mutex
  std::set<int> open_;                 // guarded by mutex
  std::vector<std::jthread> threads_;  // one per connection; grows under mutex
};

TestHttpServer::TestHttpServer(Handler handler)
    : impl_(std::make_unique<Impl>(std::move(handler))) {}
TestHttpServer::~TestHttpServer() = default;

std::uint16_t TestHttpServer::port() const {
  return impl_->port;
}
std::string TestHttpServer::url() const {
  return fmt::format("http://127.0.0.1:{}", port());
}
std::size_t TestHttpServer::connections() const {
  return impl_->accepted;
}
std::vector<TestRequest> TestHttpServer::requests() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->seen;
}

}  // namespace holdfast::test
