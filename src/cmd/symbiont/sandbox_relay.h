#ifndef SYMBIONT_CMD_SYMBIONT_SANDBOX_RELAY_H_
#define SYMBIONT_CMD_SYMBIONT_SANDBOX_RELAY_H_

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "symbiont/sandbox.h"

#include "base/result.h"
#include "base/unique_fd.h"

namespace symbiont::cli {

/// Hands SIGINT, SIGTERM, SIGHUP and SIGQUIT on to a confined program, which is in a session of its
/// own and sees no Ctrl-C. A second SIGINT within two seconds kills its whole tree. What arrives
/// before there is a program is handed on once there is; what was ignored at the start stays so.
/// SIGPIPE becomes an error of write(). One object a process.
class SignalRelay {
 public:
  [[nodiscard]] static Result<std::unique_ptr<SignalRelay>> install();
  SignalRelay(const SignalRelay&) = delete;
  SignalRelay& operator=(const SignalRelay&) = delete;
  ~SignalRelay();

  /// From here on signals go to `program`, until attach(nullptr).
  void attach(SandboxedProgram* program);

 private:
  SignalRelay(UniqueFd read_end, UniqueFd write_end);
  void loop();
  void hand_on(int signal);

  UniqueFd read_end_;
  UniqueFd write_end_;
  std::mutex mutex_;
  SandboxedProgram* program_ = nullptr;
  std::vector<int> waiting_;  ///< arrived before there was a program
  std::optional<std::chrono::steady_clock::time_point> last_interrupt_;
  std::thread thread_;
};

}  // namespace symbiont::cli

#endif  // SYMBIONT_CMD_SYMBIONT_SANDBOX_RELAY_H_
