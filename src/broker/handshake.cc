#include "broker/handshake.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace symbiont::broker {
namespace {

constexpr char kSocksVersion = 5;
constexpr char kNoAuthentication = 0;
constexpr char kNoMethod = '\xff';
constexpr unsigned char kConnect = 1;
constexpr unsigned char kUdpAssociate = 3;

constexpr std::uint8_t kCommandNotSupported = 7;
constexpr std::uint8_t kAddressNotSupported = 8;

unsigned byte_at(std::string_view bytes, std::size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}

// VER REP RSV ATYP and an address of zeros: where a connection starts is nobody's business inside.
std::string socks_reply(std::uint8_t code) {
  std::string reply(10, '\0');
  reply[0] = kSocksVersion;
  reply[1] = static_cast<char>(code);
  reply[3] = 1;
  return reply;
}

std::uint8_t socks_code(Failure failure) {
  switch (failure) {
    case Failure::Denied:
      return 2;  // not allowed by ruleset
    case Failure::Malformed:
      return 1;
    case Failure::Unreachable:
      return 5;  // connection refused
    case Failure::TimedOut:
      return 4;  // host unreachable
  }
  return 1;
}

std::string_view status_line(Failure failure) {
  switch (failure) {
    case Failure::Denied:
      return "403 Forbidden";
    case Failure::Malformed:
      return "400 Bad Request";
    case Failure::Unreachable:
      return "502 Bad Gateway";
    case Failure::TimedOut:
      return "504 Gateway Timeout";
  }
  return "500 Internal Server Error";
}

template <typename Bytes>
Bytes bytes_from(std::string_view text) {
  Bytes bytes{};
  std::ranges::transform(text, bytes.begin(), [](char c) { return static_cast<std::uint8_t>(c); });
  return bytes;
}

}  // namespace

Result<Handshake::State> Handshake::feed(std::string& input, std::string& reply) {
  while (stage_ != Stage::Asked && !input.empty()) {
    bool is_done = true;
    switch (stage_) {
      case Stage::First:
        is_socks_ = input.front() == kSocksVersion;
        stage_ = is_socks_ ? Stage::SocksGreeting : Stage::HttpHead;
        break;
      case Stage::HttpHead: {
        SYMBIONT_TRY(is_done, read_head(input));
        break;
      }
      case Stage::SocksGreeting: {
        SYMBIONT_TRY(is_done, read_greeting(input, reply));
        break;
      }
      case Stage::SocksRequest: {
        SYMBIONT_TRY(is_done, read_socks_request(input));
        break;
      }
      case Stage::Asked:
        break;
    }
    if (!is_done) return State::NeedMore;
  }
  return stage_ == Stage::Asked ? State::Asked : State::NeedMore;
}

Result<bool> Handshake::read_head(std::string& input) {
  SYMBIONT_TRY(const auto length, scanner_.scan(input));
  if (length == 0) return false;
  SYMBIONT_TRY(request_, parse_request(std::string_view(input).substr(0, length)));
  input.erase(0, length);
  carrier_ = request_.is_tunnel() ? Carrier::Tunnel : Carrier::PlainRequest;
  stage_ = Stage::Asked;
  return true;
}

// VER NMETHODS METHODS...
Result<bool> Handshake::read_greeting(std::string& input, std::string& reply) {
  if (input.size() < 2) return false;
  const std::size_t length = 2 + byte_at(input, 1);
  if (input.size() < length) return false;
  const auto methods = std::string_view(input).substr(2, length - 2);
  if (!methods.contains(kNoAuthentication)) {
    reply += {kSocksVersion, kNoMethod};
    is_socks_ = false;  // said already: failure() has nothing to add
    stage_ = Stage::First;
    return fail(ErrorCode::InvalidArgument, "SOCKS5 without the method \"no authentication\"");
  }
  input.erase(0, length);
  reply += {kSocksVersion, kNoAuthentication};
  stage_ = Stage::SocksRequest;
  return true;
}

// VER CMD RSV ATYP ADDRESS PORT
Result<bool> Handshake::read_socks_request(std::string& input) {
  static constexpr std::size_t kFixed = 4;
  if (input.size() < kFixed + 1) return false;
  const unsigned command = byte_at(input, 1);
  const unsigned type = byte_at(input, 3);
  if (input[0] != kSocksVersion || input[2] != 0) {
    return fail(ErrorCode::InvalidArgument, "the SOCKS5 request is malformed");
  }
  if (command != kConnect && command != kUdpAssociate) {
    socks_error_ = kCommandNotSupported;
    return fail(ErrorCode::InvalidArgument, fmt::format("SOCKS5 command {}", command));
  }
  if (type != 1 && type != 3 && type != 4) {
    socks_error_ = kAddressNotSupported;
    return fail(ErrorCode::InvalidArgument, fmt::format("SOCKS5 address type {}", type));
  }
  const std::size_t start = type == 3 ? kFixed + 1 : kFixed;
  const std::size_t length = type == 3 ? byte_at(input, kFixed) : (type == 1 ? 4U : 16U);
  if (input.size() < start + length + 2) return false;
  const auto host = std::string_view(input).substr(start, length);
  auto& authority = request_.authority;
  if (type == 3) authority.host = std::string(host);
  if (type == 1) authority.host = Address(bytes_from<Address::Bytes4>(host)).text();
  if (type == 4) authority.host = Address(bytes_from<Address::Bytes16>(host)).text();
  authority.port = static_cast<std::uint16_t>(byte_at(input, start + length) * 256 +
                                              byte_at(input, start + length + 1));
  input.erase(0, start + length + 2);
  if (command == kUdpAssociate) {
    carrier_ = Carrier::Datagram;
    socks_error_ = kCommandNotSupported;
  }
  stage_ = Stage::Asked;
  return true;
}

std::string Handshake::success() const {
  if (is_socks_) return socks_reply(0);
  return carrier_ == Carrier::Tunnel ? "HTTP/1.1 200 Connection established\r\n\r\n" : "";
}

std::string Handshake::failure(Failure failure, std::string_view reason) const {
  if (stage_ == Stage::First) return {};
  if (is_socks_) {
    if (stage_ == Stage::SocksGreeting) return {};
    return socks_reply(socks_error_ != 0 ? socks_error_ : socks_code(failure));
  }
  nlohmann::json error = {{"reason", reason}};
  if (stage_ == Stage::Asked) {
    error["host"] = request_.authority.host;
    error["port"] = request_.authority.port;
  }
  // The reason and the host may carry any bytes of the client.
  const auto body = nlohmann::json{{"error", std::move(error)}}.dump(
                        -1, ' ', true, nlohmann::json::error_handler_t::replace) +
                    "\n";
  return fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n"
      "Connection: close\r\n\r\n{}",
      status_line(failure), body.size(), request_.method == "HEAD" ? "" : body);
}

}  // namespace symbiont::broker
