#ifndef SYMBIONT_RUNNERS_PROCESS_RUNNER_CHANNEL_H_
#define SYMBIONT_RUNNERS_PROCESS_RUNNER_CHANNEL_H_

// A confined engine process and the lines it exchanges with us: bounded, with deadlines. Knows no
// message.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "symbiont/sandbox.h"

#include "base/unique_fd.h"

namespace symbiont {

inline constexpr std::size_t kMaxExchangeBytes =
    std::size_t{64} << 20U;  ///< an engine's output between two calls of begin_exchange()
inline constexpr std::size_t kStderrTailBytes = 2048;  ///< kept for errors

/// Not thread-safe, but for program().
class EngineChannel {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  enum class What : std::uint8_t {
    Line,
    End,      ///< the engine closed its output, or ended
    Time,     ///< the deadline passed
    Stopped,  ///< a stop was requested
    TooLong,  ///< a line above 64 KiB, or more output than kMaxExchangeBytes
  };
  struct Event {
    What what = What::End;
    std::string line;  ///< without its newline
  };

  /// Starts it, for as long as it likes: the profile's time limit is not the process's.
  [[nodiscard]] static std::expected<std::unique_ptr<EngineChannel>, SandboxError> start(
      const std::shared_ptr<SandboxHost>& host,
      SandboxProfile profile,
      const SandboxCommand& command,
      SandboxOptions options);
  EngineChannel(const EngineChannel&) = delete;
  EngineChannel& operator=(const EngineChannel&) = delete;
  ~EngineChannel();  ///< kills what still runs

  /// Starts to count the engine's output anew.
  void begin_exchange() { exchanged_ = 0; }
  /// The next line of the engine. A request to stop ends the wait, unless `stop_token` is empty.
  [[nodiscard]] Event next_line(TimePoint deadline, const std::stop_token& stop_token);
  /// Sends all of `bytes`. Line means sent; End that nobody reads any more.
  [[nodiscard]] What send(std::string_view bytes,
                          TimePoint deadline,
                          const std::stop_token& stop_token);
  /// End of the engine's standard input.
  void close_input();
  /// Whether there is output, or its end, that next_line() has not returned.
  [[nodiscard]] bool has_output() const;
  /// The last of what it wrote to standard error, in printable ASCII on one line.
  [[nodiscard]] std::string stderr_tail();
  [[nodiscard]] SandboxedProgram& program() { return *program_; }

 private:
  EngineChannel() = default;
  /// Waits for `events` on the engine's `fd`, draining standard error meanwhile. Line: there are.
  [[nodiscard]] What wait(int fd, short events, TimePoint deadline, const std::stop_token& stop);
  void drain_stderr();
  [[nodiscard]] bool take_line(std::string& into);

  UniqueFd input_;   // a socket: writing to a dead engine must not raise SIGPIPE
  UniqueFd output_;  // pipes, not blocking on our side
  UniqueFd errors_;
  UniqueFd wake_;  // eventfd: written when a stop is requested
  std::string buffer_;
  std::size_t searched_ = 0;  // of buffer_, without a newline
  std::size_t exchanged_ = 0;
  std::string tail_;
  TimePoint next_drain_;
  std::unique_ptr<SandboxedProgram> program_;  // last: gone first
};

}  // namespace symbiont

#endif  // SYMBIONT_RUNNERS_PROCESS_RUNNER_CHANNEL_H_
