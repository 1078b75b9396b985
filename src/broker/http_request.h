#ifndef SYMBIONT_BROKER_HTTP_REQUEST_H_
#define SYMBIONT_BROKER_HTTP_REQUEST_H_

// The head of a request to a proxy, read strictly: whatever two parsers could read in two ways is
// refused, so that nothing can be smuggled past this one.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "broker/destination.h"

namespace symbiont::broker {

inline constexpr std::size_t kMaxHeadBytes = 16 * 1024;  ///< request line, headers, empty line
inline constexpr std::size_t kMaxHeaders = 100;
inline constexpr std::size_t kMaxMethodBytes = 32;

/// Finds the end of a head that arrives in pieces, looking at each byte once.
class HeadScanner {
 public:
  /// `input` is all that has arrived so far. The length of the head including its empty line; 0
  /// when more is needed. InvalidArgument for NUL and other control bytes, a bare CR or LF, more
  /// than kMaxHeadBytes.
  [[nodiscard]] Result<std::size_t> scan(std::string_view input);

 private:
  std::size_t seen_ = 0;
  std::size_t line_start_ = 0;
};

enum class BodyKind : std::uint8_t { None, Length, Chunked };
struct BodySize {
  BodyKind kind = BodyKind::None;
  std::uint64_t bytes = 0;  ///< for Length
};

struct HttpRequest {
  std::string method;  ///< "CONNECT" makes it a tunnel
  Authority authority;
  std::string host_header;  ///< the authority as the client wrote it
  std::string path = "/";   ///< with the query
  std::string version;      ///< "HTTP/1.0" or "HTTP/1.1"
  std::vector<std::pair<std::string, std::string>> headers;  ///< end to end only, no framing
  BodySize body;

  [[nodiscard]] bool is_tunnel() const { return method == "CONNECT"; }
};

/// Reads a whole head as HeadScanner found it: CONNECT host:port or METHOD http://host[:port]/path.
/// InvalidArgument names what is wrong: another form or version, more than kMaxHeaders, folded or
/// malformed headers, repeated Host, Content-Length or Transfer-Encoding, both of the latter, any
/// coding but "chunked", a body with CONNECT.
[[nodiscard]] Result<HttpRequest> parse_request(std::string_view head);

/// The head to send on: origin form, Host from the URI, hop-by-hop headers gone, the body's framing
/// written anew, and "Connection: close", since a connection carries one request.
[[nodiscard]] std::string forwarded_head(const HttpRequest& request);

}  // namespace symbiont::broker

#endif  // SYMBIONT_BROKER_HTTP_REQUEST_H_
