// Attacks on the network: every kind of socket, and the ways around socket(2). The listeners of the
// tests answer "ok" to whatever they are sent.

#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "attack.h"

namespace symbiont::attacks {
namespace {

constexpr int kMptcp = 262;
constexpr int kAnswerMs = 5000;
constexpr std::string_view kHello = "attack\n";

sockaddr_in loopback(std::uint64_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

const sockaddr* general(const void* address) {
  return static_cast<const sockaddr*>(address);
}

int open_socket(int family, int type, int protocol = 0) {
  return ::socket(family, type | SOCK_CLOEXEC, protocol);
}

Outcome wait_for_answer(int fd) {
  pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
  if (::poll(&waiting, 1, kAnswerMs) != 1) return blocked_because("no answer");
  std::array<char, 64> answer{};
  const ssize_t got = ::recv(fd, answer.data(), answer.size(), 0);
  if (got < 0) return blocked("recv");
  return got > 0 ? Outcome::Succeeded : blocked_because("closed without an answer");
}

Outcome talk(int fd, const void* address, socklen_t size) {
  if (fd < 0) return blocked("socket");
  if (::connect(fd, general(address), size) != 0) return blocked("connect");
  if (::send(fd, kHello.data(), kHello.size(), MSG_NOSIGNAL) < 0) return blocked("send");
  return wait_for_answer(fd);
}

Outcome tcp(Arguments a) {
  const sockaddr_in address = loopback(number(a, 0));
  return talk(open_socket(AF_INET, SOCK_STREAM), &address, sizeof address);
}

/// With a socket of the host's network that came as standard input, not connected yet.
Outcome connect_input(Arguments a) {
  const sockaddr_in address = loopback(number(a, 0));
  return talk(STDIN_FILENO, &address, sizeof address);
}

Outcome tcp6(Arguments a) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(static_cast<std::uint16_t>(number(a, 0)));
  address.sin6_addr = in6addr_loopback;
  return talk(open_socket(AF_INET6, SOCK_STREAM), &address, sizeof address);
}

Outcome tcp_fast_open(Arguments a) {
  const sockaddr_in address = loopback(number(a, 0));
  const int fd = open_socket(AF_INET, SOCK_STREAM);
  if (fd < 0) return blocked("socket");
  if (::sendto(fd, kHello.data(), kHello.size(), MSG_FASTOPEN | MSG_NOSIGNAL, general(&address),
               sizeof address) < 0)
    return blocked("sendto");
  return wait_for_answer(fd);
}

Outcome mptcp(Arguments a) {
  const sockaddr_in address = loopback(number(a, 0));
  const int fd = open_socket(AF_INET, SOCK_STREAM, kMptcp);
  if (fd < 0 && (errno == EPROTONOSUPPORT || errno == ENOPROTOOPT))
    return not_applicable("the kernel has no MPTCP");
  return talk(fd, &address, sizeof address);
}

Outcome udp(Arguments a) {
  const sockaddr_in address = loopback(number(a, 0));
  return talk(open_socket(AF_INET, SOCK_DGRAM), &address, sizeof address);
}

Outcome udp_many(Arguments a) {
  sockaddr_in address = loopback(number(a, 0));
  const int fd = open_socket(AF_INET, SOCK_DGRAM);
  if (fd < 0) return blocked("socket");
  std::array<char, 8> text = {"attack"};
  iovec part{.iov_base = text.data(), .iov_len = text.size()};
  mmsghdr message{};
  message.msg_hdr.msg_name = &address;
  message.msg_hdr.msg_namelen = sizeof address;
  message.msg_hdr.msg_iov = &part;
  message.msg_hdr.msg_iovlen = 1;
  if (::sendmmsg(fd, &message, 1, 0) != 1) return blocked("sendmmsg");
  return wait_for_answer(fd);
}

Outcome raw(Arguments) {
  return tried(open_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), "socket");
}

Outcome packet(Arguments) {
  constexpr int kAllProtocols = 0x0300;  // ETH_P_ALL, network order
  return tried(open_socket(AF_PACKET, SOCK_RAW, kAllProtocols), "socket");
}

/// Whether an interface beside the loopback can be seen.
Outcome netlink(Arguments) {
  const int fd = open_socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  if (fd < 0) return blocked("socket");
  struct {
    nlmsghdr head;
    rtgenmsg body;
  } request{};
  request.head.nlmsg_len = NLMSG_LENGTH(sizeof request.body);
  request.head.nlmsg_type = RTM_GETLINK;
  request.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.body.rtgen_family = AF_UNSPEC;
  if (::send(fd, &request, request.head.nlmsg_len, 0) < 0) return blocked("send");
  return wait_for_answer(fd);
}

Outcome kernel_events(Arguments) {
  const int fd = open_socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT);
  if (fd < 0) return blocked("socket");
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = 1;
  return tried(::bind(fd, general(&address), sizeof address), "bind");
}

Outcome vsock(Arguments) {
  const int fd = open_socket(AF_VSOCK, SOCK_STREAM);
  if (fd < 0 && errno == EAFNOSUPPORT) return not_applicable("the kernel has no vsock");
  return tried(fd, "socket");
}

Outcome kernel_crypto(Arguments) {
  const int fd = open_socket(AF_ALG, SOCK_SEQPACKET);
  if (fd < 0 && errno == EAFNOSUPPORT) return not_applicable("the kernel has no AF_ALG");
  return tried(fd, "socket");
}

/// Families whose code few have looked at; those of the kernel at hand vary.
Outcome rare_families(Arguments) {
  constexpr std::array<int, 14> kFamilies = {AF_XDP, AF_TIPC,   AF_RDS,     AF_CAN, AF_BLUETOOTH,
                                             AF_NFC, AF_KCM,    AF_QIPCRTR, AF_SMC, AF_PPPOX,
                                             AF_KEY, AF_PHONET, AF_VSOCK,   AF_ALG};
  for (const int family : kFamilies) {
    for (const int type : {SOCK_RAW, SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET})
      if (open_socket(family, type) >= 0) return Outcome::Succeeded;
  }
  return blocked("socket");
}

Outcome unix_path(Arguments a) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, argument(a, 0), sizeof address.sun_path - 1);
  return talk(open_socket(AF_UNIX, SOCK_STREAM), &address, sizeof address);
}

Outcome unix_abstract(Arguments a) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string_view name = argument(a, 0);
  std::memcpy(&address.sun_path[1], name.data(),
              std::min(name.size(), sizeof address.sun_path - 1));
  return talk(open_socket(AF_UNIX, SOCK_STREAM), &address,
              static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size()));
}

/// The kernel looks at the low half of the family.
Outcome unix_by_high_bits(Arguments a) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, argument(a, 0), sizeof address.sun_path - 1);
  constexpr std::uint64_t kFamily = (std::uint64_t{1} << 32U) | AF_UNIX;
  return talk(static_cast<int>(::syscall(SYS_socket, kFamily, SOCK_STREAM | SOCK_CLOEXEC, 0)),
              &address, sizeof address);
}

/// socketpair(2) is for a program's own use; its ends must not reach another socket.
Outcome reconnect_pair(Arguments a) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return blocked("socketpair");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, argument(a, 0), sizeof address.sun_path - 1);
  return tried(::sendto(ends[0], kHello.data(), kHello.size(), MSG_NOSIGNAL, general(&address),
                        sizeof address),
               "sendto");
}

Outcome reconnect_pair_abstract(Arguments a) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return blocked("socketpair");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string_view name = argument(a, 0);
  std::memcpy(&address.sun_path[1], name.data(),
              std::min(name.size(), sizeof address.sun_path - 1));
  return tried(::sendto(ends[0], kHello.data(), kHello.size(), MSG_NOSIGNAL, general(&address),
                        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())),
               "sendto");
}

Outcome connect_pair(Arguments a) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return blocked("socketpair");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, argument(a, 0), sizeof address.sun_path - 1);
  if (::connect(ends[0], general(&address), sizeof address) != 0) return blocked("connect");
  return tried(::send(ends[0], kHello.data(), kHello.size(), MSG_NOSIGNAL), "send");
}

Outcome ring_socket(Arguments a) {
  const int fd = submit_to_ring(IORING_OP_SOCKET, AF_INET, 0, SOCK_STREAM, 0);
  if (fd < 0) {
    errno = -fd;
    return blocked("io_uring socket");
  }
  const sockaddr_in address = loopback(number(a, 0));
  const int result = submit_to_ring(IORING_OP_CONNECT, fd,
                                    reinterpret_cast<std::uintptr_t>(&address), sizeof address, 0);
  errno = -result;
  return tried(result, "io_uring connect");
}

Outcome inherited_socket(Arguments a) {
  const int fd = static_cast<int>(number(a, 0));
  if (::send(fd, kHello.data(), kHello.size(), MSG_NOSIGNAL) < 0) return blocked("send");
  return wait_for_answer(fd);
}

Outcome dns_query(Arguments a) {
  const sockaddr_in address = loopback(number(a, 0));
  const int fd = open_socket(AF_INET, SOCK_DGRAM);
  if (fd < 0) return blocked("socket");
  constexpr std::string_view kQuestion("\x12\x34\1\0\0\1\0\0\0\0\0\0\6secret\7example\0\0\1\0\1",
                                       32);
  if (::sendto(fd, kQuestion.data(), kQuestion.size(), 0, general(&address), sizeof address) < 0)
    return blocked("sendto");
  return wait_for_answer(fd);
}

Outcome listen_for_others(Arguments) {
  const int fd = open_socket(AF_INET, SOCK_STREAM);
  if (fd < 0) return blocked("socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (::bind(fd, general(&address), sizeof address) != 0) return blocked("bind");
  return tried(::listen(fd, 1), "listen");
}

/// Asks the proxy of the environment for `target` ("host:port") and talks through it.
Outcome through_proxy(Arguments a) {
  const char* proxy = std::getenv("HTTP_PROXY");  // NOLINT(concurrency-mt-unsafe): one thread
  if (proxy == nullptr) return blocked_because("no HTTP_PROXY");
  const std::string_view text = proxy;
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return blocked_because("HTTP_PROXY has no port");
  const sockaddr_in address = loopback(std::strtoull(proxy + colon + 1, nullptr, 10));
  const int fd = open_socket(AF_INET, SOCK_STREAM);
  if (fd < 0) return blocked("socket");
  if (::connect(fd, general(&address), sizeof address) != 0) return blocked("connect");
  const std::string target = argument(a, 0);
  const std::string request = "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\n";
  if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) < 0) return blocked("send");
  std::array<char, 512> reply{};
  const ssize_t got = ::recv(fd, reply.data(), reply.size() - 1, 0);
  if (got <= 0) return blocked_because("the proxy closed");
  if (std::strstr(reply.data(), " 200 ") == nullptr) return blocked_because(reply.data());
  if (::send(fd, kHello.data(), kHello.size(), MSG_NOSIGNAL) < 0) return blocked("send");
  return wait_for_answer(fd);
}

/// A plain request in absolute form whose Host header names somebody else.
Outcome proxy_get(Arguments a) {
  const char* proxy = std::getenv("HTTP_PROXY");  // NOLINT(concurrency-mt-unsafe): one thread
  if (proxy == nullptr) return blocked_because("no HTTP_PROXY");
  const char* colon = std::strrchr(proxy, ':');
  if (colon == nullptr) return blocked_because("HTTP_PROXY has no port");
  const sockaddr_in address = loopback(std::strtoull(colon + 1, nullptr, 10));
  const int fd = open_socket(AF_INET, SOCK_STREAM);
  if (fd < 0) return blocked("socket");
  if (::connect(fd, general(&address), sizeof address) != 0) return blocked("connect");
  const std::string request = std::string("GET http://") + argument(a, 0) +
                              "/ HTTP/1.1\r\nHost: " + argument(a, 1) + "\r\n\r\n";
  if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) < 0) return blocked("send");
  std::array<char, 512> reply{};
  const ssize_t got = ::recv(fd, reply.data(), reply.size() - 1, 0);
  if (got <= 0) return blocked_because("the proxy closed");
  return std::strstr(reply.data(), "ok") != nullptr ? Outcome::Succeeded
                                                    : blocked_because(reply.data());
}

constexpr auto kAttacks = std::to_array<Attack>({
    {"tcp", "connects to a service of the host", "PORT", tcp},
    {"tcp6", "connects by IPv6", "PORT", tcp6},
    {"tcp_fast_open", "sends data before it connects", "PORT", tcp_fast_open},
    {"mptcp", "connects by multipath TCP", "PORT", mptcp},
    {"udp", "sends a datagram", "PORT", udp},
    {"udp_many", "sends datagrams by sendmmsg", "PORT", udp_many},
    {"dns_query", "hides a secret in a name to resolve", "PORT", dns_query},
    {"raw_socket", "opens a raw socket", "", raw},
    {"packet_socket", "listens to the whole network card", "", packet},
    {"netlink_route", "reads the host's interfaces", "", netlink},
    {"kernel_events", "listens to the kernel's device events", "", kernel_events},
    {"vsock", "opens a socket to the hypervisor", "", vsock},
    {"kernel_crypto", "opens a socket to the kernel's ciphers", "", kernel_crypto},
    {"rare_families", "opens whatever rare socket family there is", "", rare_families},
    {"unix_path", "connects to a host's socket in a read path", "SOCKET", unix_path},
    {"unix_path_full", "the same with a full network", "SOCKET", unix_path},
    {"unix_abstract", "connects to a host's abstract socket", "NAME", unix_abstract},
    {"unix_abstract_full", "the same with a full network", "NAME", unix_abstract},
    {"unix_by_high_bits", "hides the family behind bits that the kernel ignores", "SOCKET",
     unix_by_high_bits},
    {"reconnect_pair", "sends from a socket pair to a host's socket", "SOCKET", reconnect_pair},
    {"reconnect_pair_full", "the same to an abstract socket with a full network", "NAME",
     reconnect_pair_abstract},
    {"connect_pair", "connects one end of a socket pair anew", "SOCKET", connect_pair},
    {"ring_socket", "opens and connects a socket through io_uring", "PORT", ring_socket},
    {"connect_input", "connects a socket that it was given as input", "PORT", connect_input},
    {"inherited_socket", "uses a connection the caller left open", "FD", inherited_socket},
    {"listen_for_others", "listens on all addresses", "", listen_for_others},
    {"restricted_tcp", "connects directly although only a proxy was given", "PORT", tcp},
    {"restricted_udp", "sends a datagram although only a proxy was given", "PORT", udp},
    {"proxy_unlisted", "asks the proxy for a port that is not listed", "HOST:PORT", through_proxy},
    {"proxy_decimal", "writes a local address as a number", "HOST:PORT", through_proxy},
    {"proxy_mapped", "writes a local address as IPv6", "HOST:PORT", through_proxy},
    {"proxy_name", "uses a name that resolves to an address that is not listed", "HOST:PORT",
     through_proxy},
    {"proxy_null", "hides the host behind a listed one and a stray character", "HOST:PORT",
     through_proxy},
    {"proxy_get", "asks for one host in the line and names another in the header", "HOST:PORT HOST",
     proxy_get},
});

}  // namespace

std::span<const Attack> network_attacks() {
  return kAttacks;
}

}  // namespace symbiont::attacks
