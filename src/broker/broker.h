#ifndef SYMBIONT_BROKER_BROKER_H_
#define SYMBIONT_BROKER_BROKER_H_

// The egress broker: the only way out for a confined program whose profile says Restricted. The
// program lives in a network namespace with nothing but loopback; the broker accepts on a socket
// that listens there and connects, outside, to what the profile lists and to nothing else.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "symbiont/sandbox_profile.h"

#include "base/result.h"
#include "base/unique_fd.h"
#include "broker/resolver.h"

namespace symbiont::broker {

inline constexpr std::size_t kMaxConnections = 128;  ///< at once; more wait in the listen queue
inline constexpr std::size_t kMaxDecisions = 1000;   ///< kept in a report; more are counted

/// What became of one request for a connection.
struct Decision {
  std::string host;  ///< as asked for; unprintable bytes escaped
  std::uint16_t port = 0;
  NetworkProtocol protocol = NetworkProtocol::TCP;
  bool allowed = false;  ///< by the profile; the connection may still have failed
  std::string reason;    ///< why not allowed, or why it failed; else empty
  std::string address;   ///< what was connected to; empty where nothing was
};

struct BrokerReport {
  std::vector<Decision> decisions;  ///< the first kMaxDecisions, in order
  std::uint64_t decisions_dropped = 0;
  std::uint64_t allowed = 0;
  std::uint64_t denied = 0;
  std::uint64_t bytes_out = 0;     ///< handed to destinations, rewritten request heads included
  std::uint64_t bytes_in = 0;      ///< handed to the program, the broker's own answers excluded
  std::uint64_t throttled_ms = 0;  ///< time in which a transfer waited for the bandwidth limit
};

/// Times of a connection, and how many there are. The defaults are the product's; tests shorten
/// them.
struct Limits {
  std::size_t connections = kMaxConnections;
  std::chrono::milliseconds request_time{10'000};  ///< from accept to a complete request
  std::chrono::milliseconds connect_time{10'000};  ///< resolving and connecting, all addresses
  std::chrono::milliseconds idle_time{300'000};    ///< without a byte in either direction
  std::chrono::milliseconds parting_time{2'000};   ///< for a client to take its last bytes
};

/// Speaks on one port: HTTP CONNECT (destinations listed for TCP or HTTPS), plain HTTP proxy
/// requests, one a connection (HTTP), and SOCKS5 CONNECT without authentication (TCP or HTTPS).
/// UDP destinations cannot be carried by these protocols: asking for one is denied, saying so.
///
/// A name is compared with the list before it is resolved; every address it resolves to must be
/// public or itself listed; the connection goes to the address that was checked.
class Broker {
 public:
  /// Takes a listening stream socket, made in whatever network namespace the program has, and
  /// starts the one thread that does everything. Without `resolver` the system's is used.
  /// InvalidArgument: not a listening socket, a policy that is not Restricted, or a destination
  /// that is no host name or address (the message names it).
  [[nodiscard]] static Result<std::unique_ptr<Broker>> start(
      UniqueFd listener,
      const NetworkPolicy& policy,
      bool require_encryption,
      std::unique_ptr<Resolver> resolver = nullptr,
      const Limits& limits = {});

  /// Closes every connection and joins the thread. Does not wait for a lookup under way: that one
  /// ends on its own and its answer is dropped.
  ~Broker();
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  /// What has happened so far. Any thread.
  [[nodiscard]] BrokerReport report() const;

 private:
  class Impl;
  explicit Broker(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace symbiont::broker

#endif  // SYMBIONT_BROKER_BROKER_H_
