#include "api/middlewares/host_check.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <utility>

namespace symbiont::api {
namespace {

constexpr std::size_t kMaxHostBytes = 260;

bool is_ipv4(const std::string& name) {
  in_addr address{};
  return ::inet_pton(AF_INET, name.c_str(), &address) == 1;
}

bool is_ipv6(const std::string& name) {
  in6_addr address{};
  return ::inet_pton(AF_INET6, name.c_str(), &address) == 1;
}

bool is_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::optional<std::string> host_name(std::string_view host) {
  if (host.empty() || host.size() > kMaxHostBytes) return std::nullopt;
  std::string_view name = host;
  std::string_view rest;
  if (host.front() == '[') {
    const std::size_t end = host.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    name = host.substr(1, end - 1);
    rest = host.substr(end + 1);
    if (!is_ipv6(std::string(name))) return std::nullopt;
  } else if (const std::size_t colon = host.find(':'); colon != std::string_view::npos) {
    name = host.substr(0, colon);
    rest = host.substr(colon);
  }
  if (!rest.empty() && (rest.front() != ':' || !is_port(rest.substr(1)))) return std::nullopt;
  if (name.ends_with('.')) name.remove_suffix(1);
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (lower.empty()) return std::nullopt;
  return lower;
}

bool is_loopback_name(std::string_view name) {
  if (name == "localhost" || name.ends_with(".localhost")) return true;
  const std::string text(name);
  in_addr v4{};
  if (::inet_pton(AF_INET, text.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24U) == 127;
  in6_addr v6{};
  return ::inet_pton(AF_INET6, text.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

HostCheck::HostCheck(const std::vector<std::string>& allowed, bool any_address)
    : any_address_(any_address) {
  for (const std::string& name : allowed) {
    // An IPv6 address may come without its brackets here.
    if (auto lower = host_name(is_ipv6(name) ? "[" + name + "]" : name); lower.has_value()) {
      allowed_.push_back(*std::move(lower));
    }
  }
}

std::optional<ApiError> HostCheck::check(const Request& request) const {
  if (request.peer.is_unix) return std::nullopt;  // no browser gets there, and clients make Host up
  const auto refuse = [](std::string message) {
    return ApiError{
        .kind = ErrorKind::Forbidden, .message = std::move(message), .code = "bad_host"};
  };
  const auto name = host_name(request.header("host"));
  if (request.count_headers("host") != 1 || !name.has_value()) {
    return refuse("The Host header is missing or malformed.");
  }
  if (is_loopback_name(*name) || std::ranges::find(allowed_, *name) != allowed_.end()) {
    return std::nullopt;
  }
  if (any_address_ && (is_ipv4(*name) || is_ipv6(*name))) return std::nullopt;
  return refuse("This server is not known by the name in the Host header.");
}

}  // namespace symbiont::api
