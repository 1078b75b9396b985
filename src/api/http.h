#ifndef SYMBIONT_API_HTTP_H_
#define SYMBIONT_API_HTTP_H_

// Requests and responses as values: what middlewares and handlers work on. Nothing here knows of
// sockets.

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace symbiont::api {

enum class Method : std::uint8_t { Get, Post, Delete, Options, Other };
[[nodiscard]] std::string_view to_string(Method method);

/// What a caller may do. Public: nothing is asked for.
enum class Scope : std::uint8_t { Public = 0, Inference = 1, Read = 2, Admin = 4 };

/// A set of scopes. Public is in every one.
class Scopes {
 public:
  constexpr Scopes() = default;
  [[nodiscard]] static constexpr Scopes all() {
    return Scopes().with(Scope::Inference).with(Scope::Read).with(Scope::Admin);
  }
  [[nodiscard]] constexpr Scopes with(Scope scope) const {
    Scopes more = *this;
    more.bits_ = static_cast<std::uint8_t>(bits_ | static_cast<std::uint8_t>(scope));
    return more;
  }
  [[nodiscard]] constexpr bool has(Scope scope) const {
    const auto bit = static_cast<std::uint8_t>(scope);
    return (bits_ & bit) == bit;
  }
  constexpr bool operator==(const Scopes&) const = default;

 private:
  std::uint8_t bits_ = 0;
};

struct Header {
  std::string name;
  std::string value;
};

/// Who is at the other end of a connection.
struct Peer {
  bool is_unix = false;
  uid_t uid = 0;        ///< of a Unix socket's peer
  std::string address;  ///< for the log: "127.0.0.1", "unix:1000"
};

/// As whom a request is served; what authenticate found.
struct Identity {
  std::string agent;
  Scopes scopes;
  std::string key_id;  ///< empty: no key was needed
};

struct Request {
  Method method = Method::Other;
  std::string path;   ///< without the query; as sent
  std::string query;  ///< behind the '?'
  std::vector<Header> headers;
  std::string body;
  Peer peer;
  Identity identity;
  std::string id;              ///< x-request-id
  std::string path_parameter;  ///< what {id} of the route's pattern stands for, decoded

  /// The first header of this name, whatever its case; empty when there is none.
  [[nodiscard]] std::string_view header(std::string_view name) const;
  [[nodiscard]] std::size_t count_headers(std::string_view name) const;
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<Header> headers{};
  std::string body{};
};

[[nodiscard]] bool equals_ignoring_case(std::string_view a, std::string_view b);

/// %XX decoded; false when it is malformed or gives a NUL.
[[nodiscard]] bool percent_decode(std::string_view text, std::string& into);

/// Status line and headers, with the empty line. `close` says so to the client; a body of
/// `content_length` bytes follows.
[[nodiscard]] std::string response_head(const Response& response,
                                        std::size_t content_length,
                                        bool close);
/// As above for a body of chunks.
[[nodiscard]] std::string stream_head(const Response& response, bool close);
/// For HTTP/1.0, which has no chunks: the body ends with the connection.
[[nodiscard]] std::string plain_stream_head(const Response& response);
/// `bytes` as one chunk; none must be given empty.
void append_chunk(std::string& out, std::string_view bytes);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace symbiont::api

#endif  // SYMBIONT_API_HTTP_H_
