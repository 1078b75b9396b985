#ifndef SYMBIONT_API_REQUEST_READER_H_
#define SYMBIONT_API_REQUEST_READER_H_

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/api_error.h"
#include "api/http.h"

namespace symbiont::api {

inline constexpr std::size_t kMaxHeadBytes = std::size_t{16} << 10U;

/// Reads one HTTP/1 request out of bytes as they come. The head is complete before the body is
/// looked at, so that a caller can be refused without taking in what it sends.
class RequestReader {
 public:
  explicit RequestReader(std::uint64_t max_body_bytes);
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;
  ~RequestReader();

  /// Takes from the front of `bytes` and says how many; the rest has to be offered again with more
  /// behind it. Stops behind the head once.
  [[nodiscard]] std::size_t feed(std::string_view bytes);
  [[nodiscard]] bool has_head() const;
  [[nodiscard]] bool is_done() const;
  /// Set when the bytes are no request that is accepted here.
  [[nodiscard]] const std::optional<ApiError>& error() const { return error_; }

  /// The request without its body; InvalidRequest for targets that are no path.
  [[nodiscard]] std::expected<Request, ApiError> take_head();
  [[nodiscard]] std::string take_body();
  [[nodiscard]] bool keeps_alive() const;
  [[nodiscard]] bool is_http_1_0() const;
  /// The client waits for "100 Continue" before it sends the body.
  [[nodiscard]] bool expects_continue() const;

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
  std::optional<ApiError> error_;
};

}  // namespace symbiont::api

#endif  // SYMBIONT_API_REQUEST_READER_H_
