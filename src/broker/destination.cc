#include "broker/destination.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "base/strings.h"

namespace symbiont::broker {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f');
}
char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// The rule of browsers: a name that ends in a number is somebody's way to write an IPv4 address.
bool looks_like_address(std::string_view lowercase) {
  const auto dot = lowercase.rfind('.');
  const auto last = dot == std::string_view::npos ? lowercase : lowercase.substr(dot + 1);
  if (last.empty()) return false;
  if (std::ranges::all_of(last, is_digit)) return true;
  return last.starts_with("0x") && std::ranges::all_of(last.substr(2), is_hex);
}

Status check_label(std::string_view label, std::string_view name) {
  if (label.empty()) {
    return fail(ErrorCode::InvalidArgument, fmt::format("{} has an empty label", quoted(name)));
  }
  if (label.size() > kMaxLabelBytes) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("{} has a label of more than {} bytes", quoted(name), kMaxLabelBytes));
  }
  const bool is_plain = std::ranges::all_of(
      label, [](char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_'; });
  if (!is_plain || label.front() == '-' || label.back() == '-') {
    return fail(ErrorCode::InvalidArgument, fmt::format("{} is not a host name", quoted(name)));
  }
  return {};
}

Result<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0 ||
      text.starts_with('0')) {
    return fail(ErrorCode::InvalidArgument, fmt::format("{} is not a port", quoted(text, 16)));
  }
  return port;
}

bool carries(Carrier carrier, NetworkProtocol protocol) {
  switch (carrier) {
    case Carrier::Tunnel:
      return protocol == NetworkProtocol::TCP || protocol == NetworkProtocol::HTTPS;
    case Carrier::PlainRequest:
      return protocol == NetworkProtocol::HTTP;
    case Carrier::Datagram:
      return protocol == NetworkProtocol::UDP;
  }
  return false;
}

NetworkProtocol nearest_protocol(Carrier carrier) {
  switch (carrier) {
    case Carrier::PlainRequest:
      return NetworkProtocol::HTTP;
    case Carrier::Datagram:
      return NetworkProtocol::UDP;
    case Carrier::Tunnel:
      break;
  }
  return NetworkProtocol::TCP;
}

std::string shown(const Host& host, std::uint16_t port) {
  const bool is_v6 = host.address.has_value() && !host.address->is_v4();
  return is_v6 ? fmt::format("[{}]:{}", host.text, port) : fmt::format("{}:{}", host.text, port);
}

// Why a destination that is listed only for `listed` does not take this carrier.
std::string wrong_protocol(const Host& host,
                           std::uint16_t port,
                           Carrier carrier,
                           NetworkProtocol listed) {
  if (listed == NetworkProtocol::UDP) {
    return fmt::format("{} is listed for UDP, which this proxy cannot carry", shown(host, port));
  }
  static constexpr std::array<std::string_view, 3> kAsked = {"a tunnel", "a plain HTTP request",
                                                             "UDP"};
  return fmt::format("{} is listed for {} only, not for {}", shown(host, port),
                     protocol_name(listed), kAsked.at(std::to_underlying(carrier)));
}

}  // namespace

std::string_view protocol_name(NetworkProtocol protocol) {
  switch (protocol) {
    case NetworkProtocol::TCP:
      return "TCP";
    case NetworkProtocol::UDP:
      return "UDP";
    case NetworkProtocol::HTTP:
      return "HTTP";
    case NetworkProtocol::HTTPS:
      return "HTTPS";
  }
  return "?";
}

Result<Host> parse_host(std::string_view text) {
  if (const auto address = Address::parse(text)) {
    return Host{.text = address->text(), .address = address};
  }
  if (text.contains(':') || text.contains('%')) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("{} is not an address (zones are not accepted)", quoted(text)));
  }
  if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x80; })) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("{} is not ASCII: write the name in its xn-- form", quoted(text)));
  }
  std::string_view name = text;
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > kMaxHostBytes) {
    return fail(
        ErrorCode::InvalidArgument,
        fmt::format("a host name has 1 to {} bytes, this one {}", kMaxHostBytes, name.size()));
  }
  std::string lowercase(name);
  std::ranges::transform(lowercase, lowercase.begin(), to_lower);
  if (looks_like_address(lowercase)) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("{} is an unusual spelling of an address: write four decimal numbers",
                            quoted(text)));
  }
  for (std::string_view rest = lowercase;;) {
    const auto dot = rest.find('.');
    SYMBIONT_TRY_STATUS(check_label(rest.substr(0, dot), text));
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  return Host{.text = std::move(lowercase), .address = std::nullopt};
}

Result<Authority> parse_authority(std::string_view text,
                                  std::optional<std::uint16_t> default_port) {
  const auto malformed = [&] {
    return fail(ErrorCode::InvalidArgument, fmt::format("{} is not host:port", quoted(text)));
  };
  if (text.contains('@')) return malformed();
  std::string_view host;
  std::string_view rest;
  if (text.starts_with('[')) {
    const auto bracket = text.find(']');
    if (bracket == std::string_view::npos) return malformed();
    host = text.substr(1, bracket - 1);
    rest = text.substr(bracket + 1);
    if (!host.contains(':')) return malformed();
  } else {
    host = text.substr(0, text.find(':'));
    rest = text.substr(host.size());
  }
  if (host.empty() || host.size() > kMaxShownHost) return malformed();
  if (rest.empty()) {
    if (!default_port.has_value()) return malformed();
    return Authority{.host = std::string(host), .port = *default_port};
  }
  if (!rest.starts_with(':')) return malformed();
  SYMBIONT_TRY(const auto port, parse_port(rest.substr(1)));
  return Authority{.host = std::string(host), .port = port};
}

Result<Destinations> Destinations::build(const NetworkPolicy& policy, bool require_encryption) {
  Destinations destinations;
  destinations.require_encryption_ = require_encryption;
  for (const auto& listed : policy.allowed_destinations) {
    auto host = parse_host(listed.host);
    if (!host.has_value()) {
      return fail(std::move(host).error().with_context("allowed_destinations"));
    }
    if (listed.port == 0) {
      return fail(ErrorCode::InvalidArgument, fmt::format("allowed_destinations: {} has port 0",
                                                          symbiont::quoted(listed.host)));
    }
    destinations.entries_.push_back(
        {.host = *std::move(host), .port = listed.port, .protocol = listed.protocol});
  }
  return destinations;
}

Ruling Destinations::judge(const Host& host, std::uint16_t port, Carrier carrier) const {
  Ruling ruling{.protocol = nearest_protocol(carrier), .reason = {}};
  for (const auto& entry : entries_) {
    if (entry.port != port || entry.host != host || ruling.allowed) continue;
    if (!carries(carrier, entry.protocol) || entry.protocol == NetworkProtocol::UDP) {
      if (ruling.reason.empty()) {
        ruling.reason = wrong_protocol(host, port, carrier, entry.protocol);
      }
    } else if (require_encryption_ && entry.protocol != NetworkProtocol::HTTPS) {
      ruling.reason = fmt::format("require_encryption: {} to {} is not encrypted",
                                  protocol_name(entry.protocol), shown(host, port));
    } else {
      ruling.allowed = true;
    }
    if (carries(carrier, entry.protocol)) ruling.protocol = entry.protocol;
  }
  if (ruling.allowed) {
    ruling.reason.clear();
  } else if (ruling.reason.empty()) {
    ruling.reason = fmt::format("{} is not in allowed_destinations", shown(host, port));
  }
  return ruling;
}

Result<std::vector<Address>> Destinations::check_addresses(std::vector<Address> addresses,
                                                           const Host& host,
                                                           std::uint16_t port,
                                                           Carrier carrier) const {
  if (addresses.empty()) {
    return fail(ErrorCode::NotFound, fmt::format("{} has no address", host.text));
  }
  for (const auto& address : addresses) {
    const auto use = address.special_use();
    if (use.empty()) continue;
    const Host literal{.text = address.text(), .address = address};
    if (judge(literal, port, carrier).allowed) continue;
    return fail(ErrorCode::PermissionDenied,
                fmt::format("{} has the address {}, which is not public ({}) and not listed itself",
                            host.text, address.text(), use));
  }
  if (addresses.size() > kMaxDnsAnswers) addresses.resize(kMaxDnsAnswers, addresses.front());
  return addresses;
}

}  // namespace symbiont::broker
