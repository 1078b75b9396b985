#include "worker/execution.h"

#include <algorithm>
#include <utility>

namespace symbiont::worker {

using ipc::fb::Finish;

namespace {

std::uint64_t microseconds(Execution::Clock::duration duration) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(duration).count());
}

}  // namespace

void Execution::set_prompt(std::vector<TokenId> tokens, std::size_t context_tokens) {
  tokens_ = std::move(tokens);
  prompt_tokens_ = tokens_.size();
  budget_ = std::min<std::size_t>(request_.max_tokens, context_tokens - prompt_tokens_);
}

void Execution::set_inputs(std::vector<std::vector<TokenId>> inputs) {
  inputs_ = std::move(inputs);
  for (const std::vector<TokenId>& input : inputs_)
    prompt_tokens_ += input.size();
  tokens_ = inputs_.front();
}

bool Execution::next_input() {
  if (++input_ >= inputs_.size()) return false;
  tokens_ = inputs_[input_];
  return true;
}

void Execution::place(std::uint32_t sequence, std::size_t kept) {
  sequence_ = sequence;
  if (placed_) return;  // it was displaced; its first place counts
  placed_ = Clock::now();
  cached_ = kept;
}

Execution::Step Execution::add(TokenId token, bool is_end, std::string_view piece) {
  if (!first_token_) first_token_ = Clock::now();
  if (is_end) return {.shown = {}, .finish = Finish::Stop};
  tokens_.push_back(token);
  ++completed_;
  Step step{.shown = text_.push(piece), .finish = {}};
  if (text_.stopped()) {
    step.finish = Finish::Stop;
  } else if (completed_ >= budget_) {
    step.finish = Finish::Length;
  }
  return step;
}

ipc::DoneReport Execution::done(Finish finish) const {
  const auto now = Clock::now();
  ipc::DoneReport report{.id = request_.id,
                         .finish = finish,
                         .prompt_tokens = static_cast<std::uint32_t>(prompt_tokens_),
                         .completion_tokens = completed_,
                         .cached_tokens = static_cast<std::uint32_t>(cached_)};
  report.prefill_us = microseconds(first_token_.value_or(now) - placed_.value_or(received_));
  if (first_token_) report.decode_us = microseconds(now - *first_token_);
  if (const auto stop = text_.stopped_by(); stop && finish == Finish::Stop)
    report.stop = static_cast<std::int8_t>(*stop);
  return report;
}

std::optional<Finish> Execution::stopping(Clock::time_point now) const {
  if (cancelled_) return Finish::Cancelled;
  if (deadline_ && now >= *deadline_) return Finish::Deadline;
  return std::nullopt;
}

}  // namespace symbiont::worker
