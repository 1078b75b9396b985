#include "api/mailbox.h"

#include <span>
#include <utility>

namespace symbiont::api {

namespace {

std::size_t bytes_of(std::span<const TokenLogprobs> logprobs) {
  std::size_t bytes = logprobs.size_bytes();
  for (const TokenLogprobs& token : logprobs) {
    bytes += token.chosen.token.size();
    for (const TokenProbability& likely : token.top)
      bytes += sizeof likely + likely.token.size();
  }
  return bytes;
}

}  // namespace

bool Mailbox::put_text(std::size_t choice, const TextPiece& piece) {
  const std::size_t logprob_bytes = bytes_of(piece.logprobs);
  bool was_empty = false;
  {
    const MutexLock lock(mutex_);
    if (is_closed_ || bytes_ + piece.text.size() > kMaxWaitingTextBytes ||
        logprob_bytes_ + logprob_bytes > kMaxWaitingLogprobBytes) {
      return false;
    }
    bytes_ += piece.text.size();
    logprob_bytes_ += logprob_bytes;
    was_empty = events_.empty();
    if (was_empty || events_.back().choice != choice || events_.back().outcome.has_value())
      events_.push_back({choice, {}, {}, std::nullopt});
    MailboxEvent& event = events_.back();
    event.text.append(piece.text);
    event.logprobs.insert(event.logprobs.end(), piece.logprobs.begin(), piece.logprobs.end());
  }
  if (was_empty) wake_();  // not under the lock: who is woken takes it
  return true;
}

void Mailbox::put_end(std::size_t choice, Engine::Outcome outcome) {
  bool was_empty = false;
  {
    const MutexLock lock(mutex_);
    if (is_closed_) return;
    was_empty = events_.empty();
    events_.push_back({choice, {}, {}, std::move(outcome)});
  }
  if (was_empty) wake_();
}

std::vector<MailboxEvent> Mailbox::take() {
  const MutexLock lock(mutex_);
  bytes_ = 0;
  logprob_bytes_ = 0;
  return std::exchange(events_, {});
}

void Mailbox::close() {
  const MutexLock lock(mutex_);
  is_closed_ = true;
  events_.clear();
}

}  // namespace symbiont::api
