#include "broker/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

namespace symbiont::broker {
namespace {

using std::string_view_literals::operator""sv;

struct Block4 {
  Address::Bytes4 prefix;
  unsigned bits;
  std::string_view use;
};

// The IANA registry of special-purpose IPv4 addresses, and multicast.
constexpr std::array kSpecial4 = {
    Block4{.prefix = {0, 0, 0, 0}, .bits = 8, .use = "unspecified or this network"sv},
    Block4{.prefix = {10, 0, 0, 0}, .bits = 8, .use = "private"sv},
    Block4{.prefix = {100, 64, 0, 0}, .bits = 10, .use = "shared by a carrier (CGNAT)"sv},
    Block4{.prefix = {127, 0, 0, 0}, .bits = 8, .use = "loopback"sv},
    Block4{.prefix = {169, 254, 0, 0}, .bits = 16, .use = "link-local"sv},
    Block4{.prefix = {172, 16, 0, 0}, .bits = 12, .use = "private"sv},
    Block4{.prefix = {192, 0, 0, 0}, .bits = 24, .use = "protocol assignments"sv},
    Block4{.prefix = {192, 0, 2, 0}, .bits = 24, .use = "documentation"sv},
    Block4{.prefix = {192, 88, 99, 0}, .bits = 24, .use = "6to4 relay"sv},
    Block4{.prefix = {192, 168, 0, 0}, .bits = 16, .use = "private"sv},
    Block4{.prefix = {198, 18, 0, 0}, .bits = 15, .use = "benchmarks"sv},
    Block4{.prefix = {198, 51, 100, 0}, .bits = 24, .use = "documentation"sv},
    Block4{.prefix = {203, 0, 113, 0}, .bits = 24, .use = "documentation"sv},
    Block4{.prefix = {224, 0, 0, 0}, .bits = 4, .use = "multicast"sv},
    Block4{.prefix = {255, 255, 255, 255}, .bits = 32, .use = "broadcast"sv},
    Block4{.prefix = {240, 0, 0, 0}, .bits = 4, .use = "reserved"sv},
};

struct Block6 {
  std::array<std::uint8_t, 6> prefix;
  unsigned bits;
  std::string_view use;
};

// What has a name of its own. Everything else outside 2000::/3 is refused as well.
constexpr std::array kSpecial6 = {
    Block6{.prefix = {0xfc}, .bits = 7, .use = "private (unique local)"sv},
    Block6{.prefix = {0xfe, 0x80}, .bits = 10, .use = "link-local"sv},
    Block6{.prefix = {0xfe, 0xc0}, .bits = 10, .use = "site-local"sv},
    Block6{.prefix = {0xff}, .bits = 8, .use = "multicast"sv},
    Block6{.prefix = {0x20, 0x01, 0x0d, 0xb8}, .bits = 32, .use = "documentation"sv},
    Block6{.prefix = {0x3f, 0xff, 0x00}, .bits = 20, .use = "documentation"sv},
    Block6{.prefix = {0x20, 0x01, 0x00}, .bits = 23, .use = "protocol assignments"sv},
};

bool has_prefix(std::span<const std::uint8_t> bytes,
                std::span<const std::uint8_t> prefix,
                unsigned bits) {
  const std::size_t whole = bits / 8;
  if (!std::equal(prefix.begin(), prefix.begin() + static_cast<std::ptrdiff_t>(whole),
                  bytes.begin())) {
    return false;
  }
  const unsigned rest = bits % 8;
  if (rest == 0) return true;
  const unsigned mask = (0xffU << (8 - rest)) & 0xffU;
  return (static_cast<unsigned>(bytes[whole]) & mask) ==
         (static_cast<unsigned>(prefix[whole]) & mask);
}

std::string_view special_use4(std::span<const std::uint8_t> bytes) {
  const auto* block = std::ranges::find_if(
      kSpecial4, [&](const Block4& b) { return has_prefix(bytes, b.prefix, b.bits); });
  return block == kSpecial4.end() ? std::string_view() : block->use;
}

// The first twelve bytes of the prefixes that are followed by an IPv4 address.
constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::array<std::uint8_t, 12> kCompatible = {};
constexpr std::array<std::uint8_t, 12> kNat64 = {0, 0x64, 0xff, 0x9b};
constexpr std::array<std::uint8_t, 4> kTeredo = {0x20, 0x01, 0, 0};
constexpr std::array<std::uint8_t, 2> k6to4 = {0x20, 0x02};

std::string_view special_use6(const Address::Bytes16& bytes) {
  const std::span all(bytes);
  if (has_prefix(all, kMapped, 96)) return "an IPv4 address in disguise";
  if (has_prefix(all, kCompatible, 96)) {
    const bool is_low = has_prefix(all.subspan(12), std::array<std::uint8_t, 3>{}, 24);
    if (is_low && bytes[15] == 1) return "loopback";
    if (is_low && bytes[15] == 0) return "unspecified";
    return "an IPv4 address in disguise";
  }
  if (has_prefix(all, kNat64, 96)) return special_use4(all.subspan(12));
  if (has_prefix(all, k6to4, 16)) return special_use4(all.subspan(2, 4));
  if (has_prefix(all, kTeredo, 32)) {
    Address::Bytes4 client{};  // stored inverted (RFC 4380, 4)
    std::ranges::transform(all.subspan(12), client.begin(),
                           [](std::uint8_t byte) { return static_cast<std::uint8_t>(~byte); });
    const auto server_use = special_use4(all.subspan(4, 4));
    return server_use.empty() ? special_use4(client) : server_use;
  }
  const auto* block = std::ranges::find_if(
      kSpecial6, [&](const Block6& b) { return has_prefix(all, b.prefix, b.bits); });
  if (block != kSpecial6.end()) return block->use;
  return (bytes[0] & 0xe0U) == 0x20U ? std::string_view() : "not global unicast"sv;
}

}  // namespace

Address::Address(const Bytes4& bytes) : is_v4_(true) {
  std::ranges::copy(bytes, bytes_.begin());
}

std::optional<Address> Address::parse(std::string_view text) {
  if (text.size() >= INET6_ADDRSTRLEN || text.contains('\0')) return std::nullopt;
  const std::string terminated(text);
  Bytes4 four{};
  if (inet_pton(AF_INET, terminated.c_str(), four.data()) == 1) return Address(four);
  Bytes16 sixteen{};
  if (inet_pton(AF_INET6, terminated.c_str(), sixteen.data()) == 1) return Address(sixteen);
  return std::nullopt;
}

std::optional<Address> Address::from_sockaddr(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &address, sizeof in);
    Bytes4 bytes{};
    std::memcpy(bytes.data(), &in.sin_addr, bytes.size());
    return Address(bytes);
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 in{};
    std::memcpy(&in, &address, sizeof in);
    Bytes16 bytes{};
    std::memcpy(bytes.data(), &in.sin6_addr, bytes.size());
    return Address(bytes);
  }
  return std::nullopt;
}

std::string Address::text() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const char* done =
      inet_ntop(is_v4_ ? AF_INET : AF_INET6, bytes_.data(), text.data(), text.size());
  return done == nullptr ? std::string() : std::string(done);
}

std::string_view Address::special_use() const {
  return is_v4_ ? special_use4(std::span(bytes_).first(4)) : special_use6(bytes_);
}

socklen_t Address::to_sockaddr(std::uint16_t port, sockaddr_storage& into) const {
  into = {};
  if (is_v4_) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, bytes_.data(), sizeof in.sin_addr);
    std::memcpy(&into, &in, sizeof in);
    return sizeof in;
  }
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(port);
  std::memcpy(&in.sin6_addr, bytes_.data(), sizeof in.sin6_addr);
  std::memcpy(&into, &in, sizeof in);
  return sizeof in;
}

}  // namespace symbiont::broker
