#ifndef SYMBIONT_BROKER_HANDSHAKE_H_
#define SYMBIONT_BROKER_HANDSHAKE_H_

// What a client says before its bytes are carried: HTTP proxy requests and SOCKS5 (RFC 1928), told
// apart by the first byte. No input or output of its own: bytes in, bytes out.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "broker/destination.h"
#include "broker/http_request.h"

namespace symbiont::broker {

/// Why a client gets no connection; decides the HTTP status and the SOCKS5 reply.
enum class Failure : std::uint8_t { Denied, Malformed, Unreachable, TimedOut };

/// Not thread-safe.
class Handshake {
 public:
  enum class State : std::uint8_t { NeedMore, Asked };

  /// Consumes from the front of `input` what belongs to the handshake and appends to `reply` what
  /// the client has to be told meanwhile. Once Asked, what is left in `input` is the client's own.
  /// InvalidArgument: malformed; failure() has the answer.
  [[nodiscard]] Result<State> feed(std::string& input, std::string& reply);

  // What was asked for. Valid once Asked.
  [[nodiscard]] const Authority& authority() const { return request_.authority; }
  [[nodiscard]] Carrier carrier() const { return carrier_; }
  /// Meaningful for Carrier::PlainRequest.
  [[nodiscard]] const HttpRequest& request() const { return request_; }

  /// What tells the client that it is connected; empty for a plain request, which the server
  /// answers.
  [[nodiscard]] std::string success() const;
  /// What tells the client why not. Before the first byte of a client it is empty.
  [[nodiscard]] std::string failure(Failure failure, std::string_view reason) const;

 private:
  enum class Stage : std::uint8_t { First, HttpHead, SocksGreeting, SocksRequest, Asked };

  [[nodiscard]] Result<bool> read_head(std::string& input);
  [[nodiscard]] Result<bool> read_greeting(std::string& input, std::string& reply);
  [[nodiscard]] Result<bool> read_socks_request(std::string& input);

  Stage stage_ = Stage::First;
  bool is_socks_ = false;
  std::uint8_t socks_error_ = 0;  ///< set where the protocol has a reply of its own
  HeadScanner scanner_;
  HttpRequest request_;
  Carrier carrier_ = Carrier::Tunnel;
};

}  // namespace symbiont::broker

#endif  // SYMBIONT_BROKER_HANDSHAKE_H_
