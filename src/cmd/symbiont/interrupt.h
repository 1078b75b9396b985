#ifndef SYMBIONT_CMD_SYMBIONT_INTERRUPT_H_
#define SYMBIONT_CMD_SYMBIONT_INTERRUPT_H_

#include <atomic>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

#include "base/result.h"
#include "base/unique_fd.h"

namespace symbiont::cli {

/// Turns SIGINT, SIGTERM and SIGHUP into a stop request. The handler only writes a byte; a thread
/// does the rest. The first signal asks for a stop, a second one while that is under way ends the
/// process at once with 128 + signal. SIGPIPE becomes an error of write(). One object a process.
class Interrupt {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Interrupt>> install();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  ~Interrupt();

  /// Stops with the next signal.
  [[nodiscard]] std::stop_token token();
  /// Forgets a SIGINT that was handled, so that the next one cancels again (chat). Other signals
  /// stay.
  void rearm();
  /// The signal that asked for the stop; 0 when none did.
  [[nodiscard]] int signal() const { return signal_.load(); }
  /// Becomes readable with a signal, for poll(). Emptied by rearm().
  [[nodiscard]] int wake_fd() const { return wake_.get(); }

 private:
  Interrupt(UniqueFd read_end, UniqueFd write_end, UniqueFd wake);
  void loop();

  UniqueFd read_end_;
  UniqueFd write_end_;
  UniqueFd wake_;
  std::atomic<int> signal_ = 0;
  std::mutex mutex_;
  std::stop_source source_;
  std::thread thread_;
};

}  // namespace symbiont::cli

#endif  // SYMBIONT_CMD_SYMBIONT_INTERRUPT_H_
