#ifndef SYMBIONT_BROKER_ADDRESS_H_
#define SYMBIONT_BROKER_ADDRESS_H_

// An IPv4 or IPv6 address as a value, and whether it is one of the public internet.

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace symbiont::broker {

/// A plain value; any thread. An IPv4 address and its IPv6-mapped form are different values.
class Address {
 public:
  using Bytes4 = std::array<std::uint8_t, 4>;
  using Bytes16 = std::array<std::uint8_t, 16>;

  explicit Address(const Bytes4& bytes);
  explicit Address(const Bytes16& bytes) : bytes_(bytes) {}

  /// Four decimal numbers without leading zeros, or RFC 4291 text. No zone, no brackets, no other
  /// spelling.
  [[nodiscard]] static std::optional<Address> parse(std::string_view text);
  /// Nothing for families other than AF_INET and AF_INET6.
  [[nodiscard]] static std::optional<Address> from_sockaddr(const sockaddr& address);

  [[nodiscard]] bool is_v4() const { return is_v4_; }
  /// In canonical form (RFC 5952).
  [[nodiscard]] std::string text() const;
  /// What the address is reserved for ("loopback", "private"); empty for a public one. Of an
  /// address that carries an IPv4 address (NAT64, 6to4, Teredo) the carried one counts.
  [[nodiscard]] std::string_view special_use() const;
  /// Fills `into` for connect(); the length of what was filled.
  [[nodiscard]] socklen_t to_sockaddr(std::uint16_t port, sockaddr_storage& into) const;

  bool operator==(const Address&) const = default;

 private:
  Bytes16 bytes_{};
  bool is_v4_ = false;  ///< then the first four bytes count and the others are zero
};

}  // namespace symbiont::broker

#endif  // SYMBIONT_BROKER_ADDRESS_H_
