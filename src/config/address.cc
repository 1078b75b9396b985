#include "config/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>

#include <fmt/core.h>

#include "base/strings.h"
#include "config/limits.h"

namespace symbiont::config {
namespace {

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_ipv6(std::string_view host) {
  in6_addr address{};
  return inet_pton(AF_INET6, std::string(host).c_str(), &address) == 1;
}

bool is_ipv4(std::string_view host) {
  in_addr address{};
  return inet_pton(AF_INET, std::string(host).c_str(), &address) == 1;
}

bool is_label(std::string_view label) {
  return !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-' &&
         std::ranges::all_of(label,
                             [](char c) { return is_alphanumeric(c) || c == '-' || c == '_'; });
}

}  // namespace

std::optional<std::string> find_host_problem(std::string_view host) {
  if (host.empty()) return "must not be empty";
  if (host.size() > 253) return "is longer than 253 bytes";
  if (host.find('\0') != std::string_view::npos) return "contains a NUL byte";
  if (host.contains(':')) {
    if (is_ipv6(host)) return std::nullopt;
    return fmt::format("{} is not a host name or IP address; the port is a key of its own",
                       symbiont::quoted(host));
  }
  if (host.contains('*'))
    return fmt::format("{}: wildcards are not supported", symbiont::quoted(host));
  const bool digits_and_dots =
      std::ranges::all_of(host, [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
  if (digits_and_dots) {
    if (is_ipv4(host)) return std::nullopt;
    return fmt::format("{} is not an IPv4 address", symbiont::quoted(host));
  }
  std::string_view rest = host;
  while (true) {
    const std::size_t dot = rest.find('.');
    if (!is_label(rest.substr(0, dot))) {
      return fmt::format("{} is not a host name or IP address", symbiont::quoted(host));
    }
    if (dot == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(dot + 1);
  }
}

Result<ListenAddress> parse_listen_address(std::string_view text) {
  const auto wrong = [&](std::string_view why) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("{} {}; write HOST:PORT, as in \"127.0.0.1:8080\" or \"[::1]:8080\"",
                            symbiont::quoted(text), why));
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong("has no port");
  std::string_view host = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (bracketed != host.contains(':'))
    return wrong("needs brackets around an IPv6 address, and only there");
  if (find_host_problem(host).has_value()) return wrong("has no valid host");
  std::uint16_t port = 0;
  const char* const begin = port_text.data();
  const char* const end = begin + port_text.size();
  const auto [stop, error] = std::from_chars(begin, end, port);
  if (error != std::errc{} || stop != end) return wrong("has no port from 0 to 65535");
  return ListenAddress{.host = std::string(host), .port = port};
}

std::optional<std::string> find_url_problem(std::string_view url) {
  std::string_view rest = url;
  if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return fmt::format("{} must begin with http:// or https://", symbiont::quoted(url));
  }
  if (std::ranges::any_of(url, [](char c) { return c <= ' ' || c == 0x7F || c == '\\'; })) {
    return fmt::format("{} contains a space, backslash or unprintable byte", symbiont::quoted(url));
  }
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  if (authority.contains('@'))
    return "must not hold a user name or password: keys have a place of their own";
  const bool has_port = authority.contains(':') && !authority.ends_with(']');
  std::string with_port(authority);
  if (!has_port) with_port += ":443";
  const auto address = parse_listen_address(with_port);
  if (!address.has_value() || address->port == 0) {
    return fmt::format("{} has no valid host and port", symbiont::quoted(url));
  }
  return std::nullopt;
}

}  // namespace symbiont::config
