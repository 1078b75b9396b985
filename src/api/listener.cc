#include "api/listener.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace symbiont::api {
namespace {

constexpr int kBacklog = 1024;
constexpr mode_t kSocketUmask = 0117;  // rw for owner and group

// The one place where a pointer to a socket address changes its type, as the interface demands.
template <typename T>
sockaddr* generic(T* address) {
  return reinterpret_cast<sockaddr*>(address);
}

std::string address_text(const sockaddr_storage& address, std::uint16_t& port) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    port = ntohs(v4.sin_port);
    if (::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size()) == nullptr) return "?";
    return text.data();
  }
  sockaddr_in6 v6{};
  std::memcpy(&v6, &address, sizeof v6);
  port = ntohs(v6.sin6_port);
  if (::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size()) == nullptr) return "?";
  return text.data();
}

bool is_loopback_address(std::string_view text) {
  return text.starts_with("127.") || text == "::1";
}

using AddressList = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

Result<AddressList> resolve(const ListenAddress& address) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port);
  const int error = ::getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found);
  if (error != 0) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("cannot listen on '{}': {}", address.host, ::gai_strerror(error)));
  }
  return AddressList(found, &::freeaddrinfo);
}

sockaddr_storage with_port(const addrinfo& info, std::uint16_t port) {
  sockaddr_storage address{};
  if (info.ai_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, info.ai_addr, sizeof v4);
    v4.sin_port = htons(port);
    std::memcpy(&address, &v4, sizeof v4);
  } else {
    sockaddr_in6 v6{};
    std::memcpy(&v6, info.ai_addr, sizeof v6);
    v6.sin6_port = htons(port);
    std::memcpy(&address, &v6, sizeof v6);
  }
  return address;
}

/// Whether somebody listens on this socket file.
bool is_alive(const sockaddr_un& address) {
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.is_valid()) return true;  // not known: nobody's socket is taken away
  sockaddr_un copy = address;
  return ::connect(probe.get(), generic(&copy), sizeof copy) == 0 || errno == EAGAIN;
}

}  // namespace

Listener::Listener(Listener&& other) noexcept
    : fd_(std::move(other.fd_)),
      family_(other.family_),
      name_(std::move(other.name_)),
      port_(other.port_),
      is_loopback_(other.is_loopback_),
      is_any_address_(other.is_any_address_),
      path_(std::exchange(other.path_, {})),
      inode_(other.inode_) {}

Listener::~Listener() {
  close();
}

void Listener::close() {
  fd_.reset();
  if (path_.empty()) return;
  struct stat info{};
  if (::lstat(path_.c_str(), &info) == 0 && info.st_ino == inode_) {
    (void)::unlink(path_.c_str());  // somebody else removed it: just as well
  }
  path_.clear();
}

Result<Listener> Listener::bind_tcp(const sockaddr* address, socklen_t length) {
  UniqueFd fd(
      ::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  if (!fd.is_valid()) return fail(errno_error("socket"));
  const int one = 1;
  // Without it a restart has to wait for old connections; with it for IPv6 only IPv6 is meant.
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (address->sa_family == AF_INET6) {
    (void)::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
  }
  sockaddr_storage bound{};
  std::memcpy(&bound, address, length);
  std::uint16_t port = 0;
  const std::string wanted = address_text(bound, port);
  if (::bind(fd.get(), address, length) != 0 || ::listen(fd.get(), kBacklog) != 0) {
    const bool taken = errno == EADDRINUSE;
    Error error = errno_error(fmt::format("listen on {} port {}", wanted, port));
    if (!taken) return fail(std::move(error));
    return fail(error.code(), error.message() +
                                  ": another program listens there; choose another port with "
                                  "--listen or [server] listen, or 0 for any free one");
  }
  socklen_t size = sizeof bound;
  if (::getsockname(fd.get(), generic(&bound), &size) != 0) return fail(errno_error("getsockname"));
  const std::string text = address_text(bound, port);
  const bool is_v6 = address->sa_family == AF_INET6;
  Listener listener(std::move(fd), address->sa_family,
                    is_v6 ? fmt::format("[{}]:{}", text, port) : fmt::format("{}:{}", text, port));
  listener.port_ = port;
  listener.is_loopback_ = is_loopback_address(text);
  listener.is_any_address_ = text == "0.0.0.0" || text == "::";
  return listener;
}

Result<std::vector<Listener>> Listener::tcp(const ListenAddress& address) {
  SYMBIONT_TRY(const AddressList list, resolve(address));
  std::vector<Listener> listeners;
  std::optional<Error> failed;
  std::uint16_t port = address.port;  // 0: the first one chooses, the others take the same
  for (const addrinfo* one = list.get(); one != nullptr; one = one->ai_next) {
    sockaddr_storage wanted = with_port(*one, port);
    auto listener = bind_tcp(generic(&wanted), one->ai_addrlen);
    if (listener.has_value()) {
      port = listener->port();
      listeners.push_back(*std::move(listener));
    } else if (!failed.has_value()) {
      failed = std::move(listener).error();
    }
  }
  // A machine without IPv6 still resolves localhost to ::1: one address of a name is enough.
  if (listeners.empty()) return fail(*std::move(failed));
  return listeners;
}

Result<Listener> Listener::local(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string& name = path.native();
  if (name.empty() || name.size() >= sizeof address.sun_path) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("the socket path '{}' has {} bytes; 1 .. {} are possible", name,
                            name.size(), sizeof address.sun_path - 1));
  }
  std::memcpy(address.sun_path, name.data(), name.size());
  struct stat info{};
  if (::lstat(path.c_str(), &info) == 0) {
    if (!S_ISSOCK(info.st_mode)) {
      return fail(ErrorCode::FailedPrecondition,
                  fmt::format("'{}' is there and is no socket; it is left alone", name));
    }
    if (is_alive(address)) {
      return fail(ErrorCode::FailedPrecondition,
                  fmt::format("somebody listens on '{}' already", name));
    }
    if (::unlink(path.c_str()) != 0) return fail(errno_error(fmt::format("remove '{}'", name)));
  }
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.is_valid()) return fail(errno_error("socket"));
  const mode_t before = ::umask(kSocketUmask);
  const int bound = ::bind(fd.get(), generic(&address), sizeof address);
  const int bind_errno = errno;
  (void)::umask(before);  // cannot fail
  if (bound != 0) return fail(errno_error(fmt::format("listen on '{}'", name), bind_errno));
  if (::listen(fd.get(), kBacklog) != 0)
    return fail(errno_error(fmt::format("listen on '{}'", name)));
  if (::lstat(path.c_str(), &info) != 0) return fail(errno_error(fmt::format("stat '{}'", name)));
  Listener listener(std::move(fd), AF_UNIX, name);
  listener.is_loopback_ = true;
  listener.path_ = path;
  listener.inode_ = info.st_ino;
  return listener;
}

Result<UniqueFd> accept_one(const Listener& listener) {
  // SOCK_CLOEXEC: the launcher and the workers must not get hold of a client's connection.
  UniqueFd fd(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (fd.is_valid()) {
    const int one = 1;
    if (!listener.is_unix()) {
      // Small pieces go out at once; a peer that has vanished is noticed some day.
      (void)::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      (void)::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    }
    return fd;
  }
  const int error = errno;
  // Nobody there (any more): these are no errors of ours.
  if (error == EAGAIN || error == EINTR || error == ECONNABORTED) return UniqueFd();
  return fail(errno_error("accept", error));
}

Peer peer_of(int fd, bool is_unix) {
  Peer peer;
  peer.is_unix = is_unix;
  if (is_unix) {
    ucred credentials{};
    socklen_t size = sizeof credentials;
    // On failure the overflow user: an identity that nothing is granted to.
    constexpr uid_t kNobody = 65534;
    peer.uid = ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 ? credentials.uid
                                                                                   : kNobody;
    peer.address = fmt::format("unix:{}", peer.uid);
    return peer;
  }
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  std::uint16_t port = 0;
  const bool is_known = ::getpeername(fd, generic(&address), &size) == 0;
  peer.address = is_known ? address_text(address, port) : std::string("?");
  return peer;
}

}  // namespace symbiont::api
