#ifndef SYMBIONT_WORKER_LOOP_H_
#define SYMBIONT_WORKER_LOOP_H_

// The batch loop of a locked worker: requests in, tokens out. Requests run one after the other;
// frames that arrive meanwhile are read between steps, so that a cancel takes effect within one.

#include <chrono>
#include <deque>
#include <exception>
#include <optional>

#include "base/result.h"
#include "ipc/channel.h"
#include "ipc/messages.h"
#include "worker/generation.h"
#include "worker/llama_engine.h"

namespace symbiont::worker {

inline constexpr std::size_t kMaxPending = 64;

class Loop {
 public:
  Loop(ipc::Channel& channel, LlamaEngine& engine) : channel_(channel), engine_(engine) {}

  /// Serves until the other end closes the channel, which is success.
  [[nodiscard]] Status run();

 private:
  struct Pending {
    ipc::ExecuteRequest request;
    ipc::Deadline deadline;
  };

  [[nodiscard]] Status serve(const Pending& pending);
  [[nodiscard]] Status read_frame();
  [[nodiscard]] Status queue(const ipc::fb::Execute& execute);
  [[nodiscard]] Status cancel(std::uint64_t id);
  [[nodiscard]] Stopping look(const Pending& running);
  [[nodiscard]] Status send_failed(Failure failure, std::uint64_t id);

  ipc::Channel& channel_;
  LlamaEngine& engine_;
  ipc::Builder builder_;
  std::deque<Pending> pending_;
  std::uint64_t running_ = 0;  // id; 0: none
  bool cancelled_ = false;     // the running one
  Status broken_;              // the first error of the channel while a request runs
  std::exception_ptr thrown_;  // out of a callback that must not throw
  std::chrono::steady_clock::time_point last_look_;
};

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_LOOP_H_
