#ifndef SYMBIONT_BROKER_DESTINATION_H_
#define SYMBIONT_BROKER_DESTINATION_H_

// Which destinations a profile allows: pure functions from what a client asked for to yes or no
// with a reason. Nothing here resolves or connects.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "symbiont/sandbox_profile.h"

#include "base/result.h"
#include "broker/address.h"

namespace symbiont::broker {

inline constexpr std::size_t kMaxHostBytes = 253;  ///< of a DNS name in text (RFC 1035)
inline constexpr std::size_t kMaxLabelBytes = 63;  ///< between two dots of it
inline constexpr std::size_t kMaxDnsAnswers = 16;  ///< addresses of a name that are tried
inline constexpr std::size_t kMaxShownHost = 256;  ///< bytes of a host in reasons and reports

/// A host in the one form that is compared: a lowercase name without final dot, or an address.
struct Host {
  std::string text;                ///< canonical
  std::optional<Address> address;  ///< present: `text` is this address
  bool operator==(const Host&) const = default;
};

/// Names: ASCII letters, digits, '-', '_' in labels (other scripts in their xn-- form). Addresses:
/// canonical dotted quad or IPv6 text without brackets and zone. Anything that some resolver would
/// read as an address in another spelling (2130706433, 0x7f.1, 127.1) is InvalidArgument.
[[nodiscard]] Result<Host> parse_host(std::string_view text);

struct Authority {
  std::string host;  ///< as written, without brackets
  std::uint16_t port = 0;
};

/// "host:port" or "[v6]:port"; without a port `default_port`, where there is one. InvalidArgument
/// for anything else, also for user information and port 0.
[[nodiscard]] Result<Authority> parse_authority(std::string_view text,
                                                std::optional<std::uint16_t> default_port);

/// How a client wants its bytes carried.
enum class Carrier : std::uint8_t {
  Tunnel,        ///< CONNECT: for TCP and HTTPS destinations
  PlainRequest,  ///< a proxied http:// request: for HTTP destinations
  Datagram,      ///< SOCKS5 UDP ASSOCIATE: carried for nobody
};

struct Ruling {
  bool allowed = false;
  NetworkProtocol protocol = NetworkProtocol::TCP;
  std::string reason;  ///< why not; empty when allowed
};

/// The list of one profile. Immutable; any thread.
class Destinations {
 public:
  /// InvalidArgument for a host that parse_host() refuses or port 0, naming the entry.
  [[nodiscard]] static Result<Destinations> build(const NetworkPolicy& policy,
                                                  bool require_encryption);

  /// Exact host, port and protocol. An empty list denies everything. A tunnel counts as HTTPS where
  /// the destination is listed for it, else as TCP; with require_encryption only HTTPS is allowed.
  [[nodiscard]] Ruling judge(const Host& host, std::uint16_t port, Carrier carrier) const;

  /// Those of a name's `addresses` that may be connected to: all of them, at most kMaxDnsAnswers,
  /// in order. PermissionDenied if a single one is not public and not itself listed as a
  /// destination; NotFound if there is none.
  [[nodiscard]] Result<std::vector<Address>> check_addresses(std::vector<Address> addresses,
                                                             const Host& host,
                                                             std::uint16_t port,
                                                             Carrier carrier) const;

 private:
  struct Entry {
    Host host;
    std::uint16_t port = 0;
    NetworkProtocol protocol = NetworkProtocol::TCP;
  };
  std::vector<Entry> entries_;
  bool require_encryption_ = false;
};

/// "TCP", "UDP", "HTTP", "HTTPS". Static storage.
[[nodiscard]] std::string_view protocol_name(NetworkProtocol protocol);

}  // namespace symbiont::broker

#endif  // SYMBIONT_BROKER_DESTINATION_H_
