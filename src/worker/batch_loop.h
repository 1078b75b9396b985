#ifndef SYMBIONT_WORKER_BATCH_LOOP_H_
#define SYMBIONT_WORKER_BATCH_LOOP_H_

// The loop of a locked worker: requests in, tokens out. Every step decodes the next token of all
// executions that are answering and a bounded piece of the prompts that are not read yet, so that a
// long prompt delays nobody by more than one step. Frames that arrive meanwhile are read between
// steps and within them.

#include <chrono>
#include <exception>
#include <list>
#include <span>
#include <vector>

#include "base/result.h"
#include "ipc/channel.h"
#include "ipc/messages.h"
#include "worker/execution.h"
#include "worker/llama_engine.h"
#include "worker/slots.h"

namespace symbiont::worker {

/// Executions that wait for a sequence.
inline constexpr std::size_t kMaxPending = 1024;

class BatchLoop {
 public:
  BatchLoop(ipc::Channel& channel, LlamaEngine& engine);

  /// Serves until the other end closes the channel, which is success.
  [[nodiscard]] Status run();

 private:
  using Executions = std::list<Execution>;  // references stay while others come and go

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
  [[nodiscard]] bool make_room(std::size_t tokens);
  void place(Execution& execution);
  void displace_youngest();
  void forget_beyond_held(std::uint32_t sequence);

  // Steps.
  [[nodiscard]] Status step();
  void choose_outputs();
  void fill_batch();
  void fill_embedding_batch();
  void add_to_batch(Execution& execution, std::size_t count);
  [[nodiscard]] bool must_interrupt();
  void keep_batch();
  void drop_batch();
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
  Slots slots_;
  Executions pending_;                 // without a place, in the order of arrival
  Executions active_;                  // with one
  Outputs outputs_ = Outputs::Logits;  // of this step
  std::size_t embedding_steps_ = 0;
  std::vector<BatchToken> batch_;
  std::vector<Execution*> in_batch_;  // parallel to batch_
  Status broken_;                     // the first error of the channel within a decode
  std::exception_ptr thrown_;         // out of a callback that must not throw
  std::chrono::steady_clock::time_point last_look_;
};

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_BATCH_LOOP_H_
