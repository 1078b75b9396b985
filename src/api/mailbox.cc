#include "api/mailbox.h"

#include <utility>

namespace symbiont::api {

bool Mailbox::put_text(std::size_t choice, std::string_view text) {
  const MutexLock lock(mutex_);
  if (is_closed_ || bytes_ + text.size() > kMaxWaitingTextBytes) return false;
  bytes_ += text.size();
  const bool was_empty = events_.empty();
  if (!was_empty && events_.back().choice == choice && !events_.back().outcome.has_value()) {
    events_.back().text.append(text);
  } else {
    events_.push_back({choice, std::string(text), std::nullopt});
  }
  if (was_empty) wake_();
  return true;
}

void Mailbox::put_end(std::size_t choice, Engine::Outcome outcome) {
  const MutexLock lock(mutex_);
  if (is_closed_) return;
  const bool was_empty = events_.empty();
  events_.push_back({choice, {}, std::move(outcome)});
  if (was_empty) wake_();
}

std::vector<MailboxEvent> Mailbox::take() {
  const MutexLock lock(mutex_);
  bytes_ = 0;
  return std::exchange(events_, {});
}

void Mailbox::close() {
  const MutexLock lock(mutex_);
  is_closed_ = true;
  wake_ = nullptr;
  events_.clear();
}

}  // namespace symbiont::api
