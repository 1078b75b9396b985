#include "worker/batch.h"

#include <algorithm>

namespace symbiont::worker {
namespace {

/// Tokens of prompts that are read between two tokens of those that are answering, at most.
constexpr std::size_t kBusyPrefillTokens = 128;
/// A step that reads prompts ends with the first one that is whole, from this many tokens on: its
/// first token need not wait for the next prompt. With fewer a step's own cost would show.
constexpr std::size_t kLeastPrefillTokens = 24;

}  // namespace

Batch::Batch(Places& places) : places_(places) {
  tokens_.reserve(kMaxBatchTokens);
  owners_.reserve(kMaxBatchTokens);
}

void Batch::choose_outputs(const Executions& active) {
  const bool has_embeddings = std::ranges::any_of(active, &Execution::is_embedding);
  const bool has_texts = !std::ranges::all_of(active, &Execution::is_embedding);
  const bool embed = has_embeddings && (!has_texts || outputs_ == Outputs::Logits);
  outputs_ = embed ? Outputs::Embeddings : Outputs::Logits;
}

void Batch::add(Execution& execution, std::size_t count) {
  const std::size_t held = places_.held(execution);
  const std::vector<TokenId>& tokens = execution.tokens();
  for (std::size_t i = held; i < held + count; ++i) {
    tokens_.push_back({.token = tokens[i],
                       .position = static_cast<std::uint32_t>(i),
                       .sequence = execution.sequence(),
                       .wants_logits = i + 1 == tokens.size()});
    owners_.push_back(&execution);
  }
}

/// The same number of tokens of each, beginning with another one every time.
void Batch::fill_with_embeddings(Executions& active) {
  std::vector<Execution*> executions;
  for (Execution& execution : active) {
    if (execution.is_embedding()) executions.push_back(&execution);
  }
  if (executions.empty()) return;
  const std::size_t share = std::max<std::size_t>(kMaxEmbeddingBatchTokens / executions.size(), 1);
  std::ranges::rotate(executions, executions.begin() + static_cast<std::ptrdiff_t>(
                                                           embedding_steps_++ % executions.size()));
  for (Execution* execution : executions) {
    const std::size_t room = kMaxEmbeddingBatchTokens - tokens_.size();
    add(*execution, std::min({share, room, places_.missing(*execution)}));
  }
}

void Batch::fill(Executions& active) {
  tokens_.clear();
  owners_.clear();
  read_afterwards_ = read_;
  if (outputs_ == Outputs::Embeddings) return fill_with_embeddings(active);
  std::vector<Execution*> answering;
  std::vector<Execution*> reading;
  for (Execution& execution : active) {
    if (execution.is_embedding()) continue;
    if (places_.missing(execution) == 1) {
      answering.push_back(&execution);
    } else if (!places_.share_beginning(execution, active)) {
      reading.push_back(&execution);
    }
  }
  if (reading.empty() || read_ >= kBusyPrefillTokens) {
    for (Execution* execution : answering)
      add(*execution, 1);
    read_afterwards_ = 0;
  }
  std::size_t room = answering.empty() ? kMaxBatchTokens : kBusyPrefillTokens - read_afterwards_;
  std::size_t read = 0;
  for (Execution* execution : reading) {
    const std::size_t count = std::min(places_.missing(*execution), room);
    add(*execution, count);
    room -= count;
    read += count;
    if (room == 0 || read >= kLeastPrefillTokens) break;
  }
  read_afterwards_ = answering.empty() ? 0 : read_afterwards_ + read;
}

void Batch::keep() {
  for (const BatchToken& token : tokens_)
    places_.hold(token.sequence, token.token);
  read_ = read_afterwards_;
}

void Batch::drop() {
  for (const BatchToken& token : tokens_)
    places_.forget_beyond_held(token.sequence);
}

}  // namespace symbiont::worker
