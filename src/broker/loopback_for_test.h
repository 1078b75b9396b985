#ifndef SYMBIONT_BROKER_LOOPBACK_FOR_TEST_H_
#define SYMBIONT_BROKER_LOOPBACK_FOR_TEST_H_

// Blocking sockets on 127.0.0.1 for tests and benchmarks: servers, clients, a resolver that answers
// as told. A read that would wait for ever fails after half a minute.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/unique_fd.h"
#include "broker/resolver.h"

namespace symbiont::broker::loopback {

inline sockaddr_in at_port(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}
// NOLINTBEGIN(cppcoreguidelines-pro-type-reinterpret-cast): the socket API
inline const sockaddr* generic(const sockaddr_in& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}
inline sockaddr* generic(sockaddr_in& address) {
  return reinterpret_cast<sockaddr*>(&address);
}
// NOLINTEND(cppcoreguidelines-pro-type-reinterpret-cast)

/// A listening socket on a port of the kernel's choice.
struct Listener {
  UniqueFd fd;
  std::uint16_t port = 0;
};
inline Listener listen_here() {
  Listener listener{.fd = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))};
  if (!listener.fd.is_valid()) return {};
  auto address = at_port(0);
  socklen_t size = sizeof address;
  if (bind(listener.fd.get(), generic(address), size) != 0 || listen(listener.fd.get(), 256) != 0 ||
      getsockname(listener.fd.get(), generic(address), &size) != 0) {
    return {};
  }
  listener.port = ntohs(address.sin_port);
  return listener;
}

/// One end of a connection.
class Peer {
 public:
  explicit Peer(UniqueFd fd) : fd_(std::move(fd)) {
    const timeval patience{.tv_sec = 30, .tv_usec = 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  static Peer to(std::uint16_t port) {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto address = at_port(port);
    if (fd.is_valid() && connect(fd.get(), generic(address), sizeof address) != 0) fd.reset();
    return Peer(std::move(fd));
  }

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool is_connected() const { return fd_.is_valid(); }
  bool say(std::string_view bytes) const {
    while (is_connected() && !bytes.empty()) {
      const auto sent = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  void end() const { shutdown(fd_.get(), SHUT_WR); }
  /// Exactly `count` bytes, fewer at the end of the stream.
  [[nodiscard]] std::string hear(std::size_t count) const {
    std::string heard(count, '\0');
    std::size_t got = 0;
    while (is_connected() && got < count) {
      const auto n = recv(fd_.get(), heard.data() + got, count - got, 0);
      if (n <= 0) break;
      got += static_cast<std::size_t>(n);
    }
    heard.resize(got);
    return heard;
  }
  /// Up to and with `mark`.
  [[nodiscard]] std::string hear_until(std::string_view mark) const {
    std::string heard;
    while (!heard.ends_with(mark)) {
      const auto more = hear(1);
      if (more.empty()) break;
      heard += more;
    }
    return heard;
  }
  /// All until the end of the stream. `how` becomes 0 for an end, else the errno.
  [[nodiscard]] std::string hear_all(int* how = nullptr) const {
    std::string heard;
    std::array<char, 65536> piece{};
    ssize_t n = 0;
    while (is_connected() && (n = recv(fd_.get(), piece.data(), piece.size(), 0)) > 0) {
      heard.append(piece.data(), static_cast<std::size_t>(n));
    }
    if (how != nullptr) *how = n == 0 ? 0 : errno;
    return heard;
  }

 private:
  UniqueFd fd_;
};

/// Serves one connection after another on a thread of its own, until destroyed.
class Server {
 public:
  explicit Server(std::function<void(const Peer&)> serve)
      : listener_(listen_here()), serve_(std::move(serve)), thread_([this] { run(); }) {}
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() {
    shutdown(listener_.fd.get(), SHUT_RDWR);  // makes accept() fail
    thread_.join();
  }
  [[nodiscard]] std::uint16_t port() const { return listener_.port; }

 private:
  void run() {
    for (;;) {
      UniqueFd fd(accept4(listener_.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!fd.is_valid()) return;
      serve_(Peer(std::move(fd)));
    }
  }
  Listener listener_;
  std::function<void(const Peer&)> serve_;
  std::thread thread_;
};

/// Gives the answers it was told, one a call, the last one for ever; notes what it was asked.
class FakeResolver final : public Resolver {
 public:
  struct Log {
    Mutex mutex;
    std::vector<std::string> asked SYMBIONT_GUARDED_BY(mutex);
    std::vector<std::string> names() {
      const MutexLock lock(mutex);
      return asked;
    }
  };
  FakeResolver(std::deque<std::vector<Address>> answers, std::shared_ptr<Log> log)
      : log_(std::move(log)), answers_(std::move(answers)) {}
  Result<std::vector<Address>> resolve(const std::string& name) override {
    const MutexLock lock(log_->mutex);
    log_->asked.push_back(name);
    if (answers_.empty()) return fail(ErrorCode::NotFound, "no such name: " + name);
    auto answer = answers_.front();
    if (answers_.size() > 1) answers_.pop_front();
    return answer;
  }

 private:
  std::shared_ptr<Log> log_;
  std::deque<std::vector<Address>> answers_;
};

}  // namespace symbiont::broker::loopback

#endif  // SYMBIONT_BROKER_LOOPBACK_FOR_TEST_H_
