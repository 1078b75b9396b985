#ifndef SYMBIONT_BROKER_STREAM_FILTER_H_
#define SYMBIONT_BROKER_STREAM_FILTER_H_

// What is looked at in a client's bytes after its request: where a body ends, how TLS begins.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "broker/http_request.h"

namespace symbiont::broker {

/// Sees a stream once, in order, in pieces of any size. Not thread-safe.
class StreamFilter {
 public:
  StreamFilter() = default;
  StreamFilter(const StreamFilter&) = delete;
  StreamFilter& operator=(const StreamFilter&) = delete;
  virtual ~StreamFilter() = default;

  /// How many of `bytes` may pass, from the first on. InvalidArgument: none, and the connection has
  /// to end.
  [[nodiscard]] virtual Result<std::size_t> take(std::string_view bytes) = 0;
  /// Nothing more will pass.
  [[nodiscard]] virtual bool ended() const = 0;
  /// What was to be checked has been, and was in order.
  [[nodiscard]] virtual bool checked() const = 0;
};

/// Passes exactly one request body. Chunk extensions and trailers are refused: servers differ in
/// how they read them, and nothing needs them.
class BodyFilter final : public StreamFilter {
 public:
  explicit BodyFilter(BodySize body);
  [[nodiscard]] Result<std::size_t> take(std::string_view bytes) override;
  [[nodiscard]] bool ended() const override { return state_ == State::Ended; }
  [[nodiscard]] bool checked() const override { return true; }

 private:
  enum class State : std::uint8_t {
    Counted,  ///< Content-Length
    Size,     ///< hexadecimal digits
    SizeLf,
    Data,
    DataCr,
    DataLf,
    LastCr,  ///< the empty line after the last chunk
    LastLf,
    Ended,
  };
  [[nodiscard]] Status step(char c);

  State state_;
  std::uint64_t left_;      ///< bytes of the body or the chunk
  std::size_t digits_ = 0;  ///< of the chunk's size so far
};

/// Passes everything if it begins as a TLS ClientHello does (RFC 8446, 5.1). A check against
/// plaintext by mistake: a hostile client can imitate the beginning.
class TlsFilter final : public StreamFilter {
 public:
  [[nodiscard]] Result<std::size_t> take(std::string_view bytes) override;
  [[nodiscard]] bool ended() const override { return false; }
  [[nodiscard]] bool checked() const override { return seen_ >= kChecked; }

 private:
  static constexpr std::size_t kChecked = 6;
  std::size_t seen_ = 0;
};

}  // namespace symbiont::broker

#endif  // SYMBIONT_BROKER_STREAM_FILTER_H_
