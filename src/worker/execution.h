#ifndef SYMBIONT_WORKER_EXECUTION_H_
#define SYMBIONT_WORKER_EXECUTION_H_

// One request while the worker answers it. Prompt and answer are one row of tokens; what of it the
// context holds is its sequence's business, so that an execution can lose its place and go on.

#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ipc/channel.h"
#include "ipc/messages.h"
#include "worker/llama_engine.h"
#include "worker/pooling.h"
#include "worker/text_stream.h"

namespace symbiont::worker {

class Execution {
 public:
  using Clock = std::chrono::steady_clock;

  Execution(ipc::ExecuteRequest request, ipc::Deadline deadline)
      : request_(std::move(request)), deadline_(deadline), text_(request_.stop) {}

  /// What a new token leads to.
  struct Step {
    std::string shown;                      ///< text for the caller; may be empty
    std::optional<ipc::fb::Finish> finish;  ///< set: the execution is over
  };

  void set_prompt(std::vector<TokenId> tokens, std::size_t context_tokens);
  /// What it makes embeddings of; not empty, nor is one of them.
  void set_inputs(std::vector<std::vector<TokenId>> inputs);
  void set_sampler(std::unique_ptr<Sampler> sampler) { sampler_ = std::move(sampler); }
  /// It has a place in the context, with `kept` of its tokens there.
  void place(std::uint32_t sequence, std::size_t kept);
  /// Of its prompt `kept` tokens are there now, read for another execution.
  void share(std::size_t kept) {
    if (!was_displaced_) cached_ = kept;
  }
  /// It has no place any more, and starts anew when it gets one.
  void displace() {
    sequence_.reset();
    pool_.clear();
    was_displaced_ = true;
  }
  /// Takes a sampled token in.
  [[nodiscard]] Step add(TokenId token, bool is_end, std::string_view piece);
  /// Takes in the vector of the next token of the text that tokens() holds.
  void add_vector(std::span<const float> vector, Pooling pooling) { pool_.add(vector, pooling); }
  [[nodiscard]] std::vector<float> take_embedding() { return pool_.take(); }
  /// Which text that is.
  [[nodiscard]] std::uint32_t input() const { return static_cast<std::uint32_t>(input_); }
  /// Goes on to the next one; false when there is none.
  [[nodiscard]] bool next_input();
  [[nodiscard]] std::string rest() { return text_.finish(); }
  [[nodiscard]] ipc::DoneReport done(ipc::fb::Finish finish) const;

  void cancel() { cancelled_ = true; }
  /// Why it has to end early, if it has to.
  [[nodiscard]] std::optional<ipc::fb::Finish> stopping(Clock::time_point now) const;

  [[nodiscard]] std::uint64_t id() const { return request_.id; }
  [[nodiscard]] const ipc::ExecuteRequest& request() const { return request_; }
  [[nodiscard]] const std::vector<TokenId>& tokens() const { return tokens_; }
  [[nodiscard]] bool is_embedding() const { return request_.embed; }
  [[nodiscard]] bool is_new() const { return tokens_.empty(); }
  [[nodiscard]] bool has_place() const { return sequence_.has_value(); }
  [[nodiscard]] std::uint32_t sequence() const { return *sequence_; }
  [[nodiscard]] Sampler& sampler() { return *sampler_; }

 private:
  ipc::ExecuteRequest request_;
  ipc::Deadline deadline_;
  Clock::time_point received_ = Clock::now();
  std::optional<Clock::time_point> placed_;
  std::optional<Clock::time_point> first_token_;
  std::optional<std::uint32_t> sequence_;
  std::vector<TokenId> tokens_;
  std::vector<std::vector<TokenId>> inputs_;  // for embeddings: tokens_ is one of them
  std::size_t input_ = 0;
  VectorPool pool_;
  std::size_t prompt_tokens_ = 0;
  std::size_t cached_ = 0;
  std::size_t budget_ = 0;
  std::uint32_t completed_ = 0;
  bool cancelled_ = false;
  bool was_displaced_ = false;
  std::unique_ptr<Sampler> sampler_;
  TextStream text_;
};

using Executions = std::list<Execution>;  // references stay while others come and go

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_EXECUTION_H_
