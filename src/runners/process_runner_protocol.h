#ifndef SYMBIONT_RUNNERS_PROCESS_RUNNER_PROTOCOL_H_
#define SYMBIONT_RUNNERS_PROCESS_RUNNER_PROTOCOL_H_

// The engine protocol, version 1 (docs/runners.md): one JSON object a line. Pure functions; what an
// engine says is checked here for form, by the session for order.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "symbiont/execution.h"

#include "base/result.h"

namespace symbiont::engine_protocol {

inline constexpr int kVersion = 1;
inline constexpr std::size_t kMaxLineBytes = std::size_t{64} << 10U;  ///< from an engine
inline constexpr std::size_t kMaxDepth = 8;                           ///< of arrays and objects
inline constexpr std::size_t kMaxNameBytes = 128;                     ///< name and version, each
inline constexpr std::size_t kMaxMessageBytes = 1024;                 ///< of an error

struct Ready {
  std::string name;
  std::string version;
};
struct Token {
  std::uint64_t id = 0;
  std::string text;
};
enum class Finish : std::uint8_t { Stop, Length, Cancelled };
struct Done {
  std::uint64_t id = 0;
  Finish finish = Finish::Stop;
  TokenUsage usage;
};
struct Failed {
  std::uint64_t id = 0;  ///< 0: about no execution, an unreadable line say
  bool invalid_input = false;
  std::string message;  ///< printable
};
using Message = std::variant<Ready, Token, Done, Failed>;

/// Reads one line of an engine, without its newline. Bytes that are not UTF-8 count as U+FFFD. The
/// error (DataCorrupt) says what came instead of a message.
[[nodiscard]] Result<Message> parse(std::string_view line);

/// A request as a line, with its newline. `seed` is the one to use.
[[nodiscard]] std::string execute_line(std::uint64_t id,
                                       std::span<const ChatMessage> messages,
                                       const ExecutionOptions& options,
                                       std::uint64_t seed);
[[nodiscard]] std::string cancel_line(std::uint64_t id);

/// "a 'token' of id 3": what a message is, for errors.
[[nodiscard]] std::string describe(const Message& message);

/// `text` with a U+FFFD for each byte that is not UTF-8.
[[nodiscard]] std::string replace_invalid_utf8(std::string_view text);

}  // namespace symbiont::engine_protocol

#endif  // SYMBIONT_RUNNERS_PROCESS_RUNNER_PROTOCOL_H_
