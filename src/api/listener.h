#ifndef SYMBIONT_API_LISTENER_H_
#define SYMBIONT_API_LISTENER_H_

#include <sys/socket.h>

#include <filesystem>
#include <string>
#include <vector>

#include "symbiont/slm.h"

#include "api/http.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace symbiont::api {

/// A listening socket. A Unix socket's file goes away with it.
class Listener {
 public:
  /// Every address that `address.host` stands for; the same port for all when it is 0.
  [[nodiscard]] static Result<std::vector<Listener>> tcp(const ListenAddress& address);
  /// Replaces a socket that nobody listens on. Owner and group may connect.
  [[nodiscard]] static Result<Listener> local(const std::filesystem::path& path);

  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&&) = delete;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener();

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] int family() const { return family_; }
  [[nodiscard]] bool is_unix() const { return family_ == AF_UNIX; }
  /// "127.0.0.1:8080", "[::1]:8080", "/run/symbiont.sock"
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// Only this machine can connect.
  [[nodiscard]] bool is_loopback() const { return is_loopback_; }
  /// 0.0.0.0 or ::
  [[nodiscard]] bool is_any_address() const { return is_any_address_; }
  /// Stops listening and removes the file.
  void close();

 private:
  Listener(UniqueFd fd, int family, std::string name)
      : fd_(std::move(fd)), family_(family), name_(std::move(name)) {}
  [[nodiscard]] static Result<Listener> bind_tcp(const sockaddr* address, socklen_t length);

  UniqueFd fd_;
  int family_;
  std::string name_;
  std::uint16_t port_ = 0;
  bool is_loopback_ = false;
  bool is_any_address_ = false;
  std::filesystem::path path_;  // of a Unix socket
  ino_t inode_ = 0;             // of path_: another one's file is left alone
};

/// Accepts one connection, close-on-exec and non-blocking; invalid when none is waiting.
[[nodiscard]] Result<UniqueFd> accept_one(const Listener& listener);

/// Who is at the other end of an accepted connection.
[[nodiscard]] Peer peer_of(int fd, bool is_unix);

}  // namespace symbiont::api

#endif  // SYMBIONT_API_LISTENER_H_
