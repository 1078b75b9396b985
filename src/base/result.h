#ifndef SYMBIONT_BASE_RESULT_H_
#define SYMBIONT_BASE_RESULT_H_

// The one error model of the code base: a call that can fail returns Result<T> (or Status), never
// throws. The code says what the caller can do, the message says what happened and names the
// object.

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace symbiont {

/// What the caller can do about an error. Ordered by who has to act.
enum class ErrorCode : std::uint8_t {
  InvalidArgument,     ///< the caller's input is wrong: change it
  NotFound,            ///< the named object does not exist
  PermissionDenied,    ///< not allowed: ask whoever administers it
  FailedPrecondition,  ///< the system has to change first (missing control, wrong state)
  ResourceExhausted,   ///< a bound was reached: smaller request or higher bound
  DeadlineExceeded,    ///< time ran out
  Cancelled,           ///< the caller gave up
  DataCorrupt,         ///< bytes are not what they claim to be
  Unavailable,         ///< a peer or process is gone: the same call may succeed again
  Internal,            ///< our bug or an unexpected operating system error
};

/// Name of a code as it is printed ("NotFound"). Static storage.
[[nodiscard]] std::string_view to_string(ErrorCode code);

/// An error: code, text, and the errno behind it (0 when there is none). Cheap to move.
class [[nodiscard]] Error {
 public:
  Error(ErrorCode code, std::string message, int sys_errno = 0)
      : code_(code), sys_errno_(sys_errno), message_(std::move(message)) {}

  [[nodiscard]] ErrorCode code() const { return code_; }
  [[nodiscard]] int sys_errno() const { return sys_errno_; }
  [[nodiscard]] const std::string& message() const { return message_; }

  /// The same error with "context: " in front of its text.
  [[nodiscard]] Error with_context(std::string_view context) const&;
  [[nodiscard]] Error with_context(std::string_view context) &&;

 private:
  ErrorCode code_;
  int sys_errno_;
  std::string message_;
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

/// Error from the current errno (or `error_number`): "WHAT: strerror". Maps ENOENT, EACCES, EPERM,
/// ENOMEM and their kin to codes; everything else is Internal.
[[nodiscard]] Error errno_error(std::string_view what);
[[nodiscard]] Error errno_error(std::string_view what, int error_number);

/// Thread-safe strerror.
[[nodiscard]] std::string errno_text(int error_number);

/// Shorthand for `return fail(ErrorCode::NotFound, "model 'x' does not exist");`
[[nodiscard]] inline std::unexpected<Error> fail(ErrorCode code, std::string message) {
  return std::unexpected<Error>(std::in_place, code, std::move(message));
}
[[nodiscard]] inline std::unexpected<Error> fail(Error error) {
  return std::unexpected<Error>(std::move(error));
}

/// `SYMBIONT_CHECK(condition, "text")`: for our own bugs only, always on; prints and aborts.
[[noreturn]] void check_failed(const char* condition, const char* text, const char* file, int line);

}  // namespace symbiont

#define SYMBIONT_CONCAT_INNER(a, b) a##b
#define SYMBIONT_CONCAT(a, b) SYMBIONT_CONCAT_INNER(a, b)

// SYMBIONT_TRY(auto fd, open_file(path)): assigns the value or returns the error.
// NOLINTBEGIN(bugprone-macro-parentheses): the left side may be a declaration
#define SYMBIONT_TRY_IMPL(tmp, lhs, expr)                               \
  auto tmp = (expr);                                                    \
  if (!tmp.has_value()) return std::unexpected(std::move(tmp).error()); \
  lhs = *std::move(tmp)
// NOLINTEND(bugprone-macro-parentheses)
#define SYMBIONT_TRY(lhs, expr) \
  SYMBIONT_TRY_IMPL(SYMBIONT_CONCAT(symbiont_result_, __LINE__), lhs, expr)

// SYMBIONT_TRY_STATUS(write_all(fd, bytes)): returns the error, if any.
#define SYMBIONT_TRY_STATUS(expr)                                                                 \
  do {                                                                                            \
    auto symbiont_status = (expr);                                                                \
    if (!symbiont_status.has_value()) return std::unexpected(std::move(symbiont_status).error()); \
  } while (false)

#define SYMBIONT_CHECK(condition, text)                                               \
  do {                                                                                \
    if (!(condition)) ::symbiont::check_failed(#condition, text, __FILE__, __LINE__); \
  } while (false)

#endif  // SYMBIONT_BASE_RESULT_H_
