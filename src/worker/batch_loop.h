#ifndef SYMBIONT_WORKER_BATCH_LOOP_H_
#define SYMBIONT_WORKER_BATCH_LOOP_H_

// The loop of a locked worker: requests in, tokens out. Steps decode the next token of all
// executions that are answering and pieces of the prompts that are not read yet, of which no more
// than a bounded number of tokens comes between two tokens of an answer. Frames that arrive
// meanwhile are read between steps and within them.

#include <chrono>
#include <exception>
#include <span>

#include "base/result.h"
#include "ipc/channel.h"
#include "ipc/messages.h"
#include "worker/batch.h"
#include "worker/execution.h"
#include "worker/llama_engine.h"
#include "worker/places.h"

namespace symbiont::worker {

/// Executions that wait for a sequence.
inline constexpr std::size_t kMaxPending = 1024;

class BatchLoop {
 public:
  BatchLoop(ipc::Channel& channel, LlamaEngine& engine);

  /// Serves until the other end closes the channel, which is success.
  [[nodiscard]] Status run();

 private:
  // Frames.
  [[nodiscard]] Status read_frames(bool wait);
  [[nodiscard]] Status read_frame();
  [[nodiscard]] Status queue(const ipc::fb::Execute& execute);
  void cancel(std::uint64_t id);
  [[nodiscard]] Status send_token(Execution& execution,
                                  std::string_view text,
                                  std::span<const ipc::Candidate> logprobs);
  [[nodiscard]] Status send_failed(Failure failure, std::uint64_t id);

  // Places in the context.
  [[nodiscard]] Status admit();
  [[nodiscard]] Status prepare(Execution& execution, bool& over);
  [[nodiscard]] Outcome<void> read_prompt(Execution& execution);
  void displace_youngest();

  // Steps.
  [[nodiscard]] Status step();
  [[nodiscard]] bool must_interrupt();
  [[nodiscard]] Status sample_batch();
  [[nodiscard]] Status pool_batch();
  [[nodiscard]] Status end_input(Execution& execution);
  [[nodiscard]] Status make_up_for(DecodeEnd end);
  [[nodiscard]] Status sample(Execution& execution, std::size_t index);
  [[nodiscard]] Status end_stopping();
  [[nodiscard]] Status fail_active(const Failure& failure);
  [[nodiscard]] Status finish(Executions::iterator at, ipc::fb::Finish how);
  void remove(Executions::iterator at);
  [[nodiscard]] Executions::iterator find(Execution& execution);

  ipc::Channel& channel_;
  LlamaEngine& engine_;
  const std::size_t context_tokens_;
  ipc::Builder builder_;
  Places places_;
  Batch batch_;
  Executions pending_;         // without a place, in the order of arrival
  Executions active_;          // with one
  Status broken_;              // the first error of the channel within a decode
  std::exception_ptr thrown_;  // out of a callback that must not throw
  std::chrono::steady_clock::time_point last_look_;
};

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_BATCH_LOOP_H_
