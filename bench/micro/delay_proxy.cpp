// A TCP proxy that makes a server on this machine as far away as one in another town: every byte
// arrives half a round trip later, and a new connection costs one round trip before its first byte,
// as a handshake would. It adds no limit on throughput of its own: per direction of a connection up
// to kInFlightBytes travel at the same time.
//
//   delay_proxy --listen PORT --to PORT --round-trip-ms N
//
// Both ports are on 127.0.0.1. Runs until it is killed; prints "ready" once it listens.
// Threads: one, with epoll; it moves several GB/s, far more than what runs through it here.

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <list>
#include <memory>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t kInFlightBytes = std::size_t{32} << 20U;
constexpr std::size_t kReadBytes = std::size_t{256} << 10U;
constexpr int kEventsAtOnce = 64;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

// Bytes under way in one direction, each with the time at which it may arrive.
struct Piece {
  Clock::time_point due;
  std::vector<char> bytes;
  std::size_t written = 0;
};

struct Direction {
  int from = -1, to = -1;
  std::deque<Piece> pieces;
  std::size_t in_flight = 0;
  Clock::time_point not_before;  // the handshake is over then
  Clock::time_point end_due;     // when the end of the stream arrives
  bool blocked = false;          // `to` takes no more: epoll tells when it does again
  bool ended = false;            // nothing more comes from `from`
  bool closed = false;           // and `to` has been told
};

struct Connection {
  Direction up, down;
  bool broken = false;
};

class Proxy {
 public:
  Proxy(int listen_port, int to_port, milliseconds round_trip)
      : to_port_(to_port), round_trip_(round_trip), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const sockaddr_in at = address(listen_port);
    if (::bind(listener_, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) fail("bind");
    if (::listen(listener_, 512) != 0) fail("listen");
    watch(listener_);
  }

  [[noreturn]] void run() {
    std::puts("ready");
    std::fflush(stdout);
    for (;;) {
      epoll_event events[kEventsAtOnce];
      const int count = wait(events);
      for (int i = 0; i < count; ++i) {
        if (events[i].data.fd == listener_) accept_all();
      }
      for (Connection& connection : connections_) serve(connection);
      connections_.remove_if([](const Connection& connection) { return finished(connection); });
    }
  }

 private:
  static sockaddr_in address(int port) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(static_cast<std::uint16_t>(port));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
  }

  // Edge triggered: every event only wakes the loop, which then looks at all connections.
  void watch(int fd) {
    epoll_event event{};
    event.events = fd == listener_ ? EPOLLIN : EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.fd = fd;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
    const int on = 1;
    if (fd != listener_) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }

  void accept_all() {
    for (;;) {
      const int client = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (client < 0) return;
      const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      const sockaddr_in to = address(to_port_);
      if (::connect(server, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
        ::close(client);
        ::close(server);
        continue;
      }
      ::fcntl(server, F_SETFL, O_NONBLOCK);
      watch(client);
      watch(server);
      Connection& added = connections_.emplace_back();
      added.up.from = added.down.to = client;
      added.up.to = added.down.from = server;
      added.up.not_before = Clock::now() + round_trip_ + round_trip_ / 2;
    }
  }

  void serve(Connection& connection) {
    for (Direction* direction : {&connection.up, &connection.down}) {
      // Taking again after delivering: room may have come, and no event would tell.
      if (!take(*direction) || !deliver(*direction) || !take(*direction)) connection.broken = true;
    }
    if (finished(connection)) {
      ::close(connection.up.from);
      ::close(connection.up.to);
    }
  }

  static bool finished(const Connection& connection) {
    return connection.broken || (connection.up.closed && connection.down.closed);
  }

  // Reads what is there; false when the connection broke.
  bool take(Direction& direction) {
    while (!direction.ended && direction.in_flight < kInFlightBytes) {
      const ssize_t got = ::recv(direction.from, buffer_.data(), buffer_.size(), 0);
      if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
      const auto due = std::max(direction.not_before, Clock::now() + round_trip_ / 2);
      if (got == 0) {
        direction.ended = true;
        direction.end_due = due;
      } else {
        direction.pieces.push_back({due, {buffer_.begin(), buffer_.begin() + got}});
        direction.in_flight += static_cast<std::size_t>(got);
      }
    }
    return true;
  }

  // Writes what has arrived; false when the connection broke.
  static bool deliver(Direction& direction) {
    const auto now = Clock::now();
    direction.blocked = false;
    while (!direction.pieces.empty() && direction.pieces.front().due <= now) {
      Piece& piece = direction.pieces.front();
      const ssize_t put = ::send(direction.to, piece.bytes.data() + piece.written,
                                 piece.bytes.size() - piece.written, MSG_NOSIGNAL);
      if (put < 0) {
        direction.blocked = true;
        return errno == EAGAIN || errno == EWOULDBLOCK;
      }
      piece.written += static_cast<std::size_t>(put);
      direction.in_flight -= static_cast<std::size_t>(put);
      if (piece.written == piece.bytes.size()) direction.pieces.pop_front();
    }
    if (direction.ended && !direction.closed && direction.pieces.empty() &&
        direction.end_due <= now) {
      ::shutdown(direction.to, SHUT_WR);
      direction.closed = true;
    }
    return true;
  }

  // When the next piece is due; one that waits for a full socket is woken by epoll instead.
  [[nodiscard]] Clock::time_point next_due() const {
    auto next = Clock::time_point::max();
    for (const Connection& connection : connections_) {
      for (const Direction* direction : {&connection.up, &connection.down}) {
        if (!direction->pieces.empty() && !direction->blocked) {
          next = std::min(next, direction->pieces.front().due);
        } else if (direction->pieces.empty() && direction->ended && !direction->closed) {
          next = std::min(next, direction->end_due);
        }
      }
    }
    return next;
  }

  int wait(epoll_event* events) const {
    const auto next = next_due();
    if (next == Clock::time_point::max()) {
      return ::epoll_wait(epoll_, events, kEventsAtOnce, -1);
    }
    const auto left =
        std::max(std::chrono::nanoseconds(next - Clock::now()), std::chrono::nanoseconds(0));
    const timespec limit{.tv_sec = left / std::chrono::seconds(1),
                         .tv_nsec = (left % std::chrono::seconds(1)).count()};
    return ::epoll_pwait2(epoll_, events, kEventsAtOnce, &limit, nullptr);
  }

  const int to_port_;
  const milliseconds round_trip_;
  const int epoll_;
  int listener_ = -1;
  std::list<Connection> connections_;
  std::vector<char> buffer_ = std::vector<char>(kReadBytes);
};

int number_after(int argc, char** argv, std::string_view name) {
  for (int i = 1; i + 1 < argc; ++i) {
    if (argv[i] == name) return std::atoi(argv[i + 1]);
  }
  return -1;
}

}  // namespace

int main(int argc, char** argv) {
  const int listen = number_after(argc, argv, "--listen");
  const int to = number_after(argc, argv, "--to");
  const int round_trip = number_after(argc, argv, "--round-trip-ms");
  if (listen <= 0 || to <= 0 || round_trip < 0) {
    std::fprintf(stderr, "usage: delay_proxy --listen PORT --to PORT --round-trip-ms N\n");
    return 2;
  }
  ::signal(SIGPIPE, SIG_IGN);
  Proxy(listen, to, milliseconds(round_trip)).run();
}
