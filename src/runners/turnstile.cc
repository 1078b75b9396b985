#include "runners/turnstile.h"

#include <algorithm>

#include <fmt/core.h>

namespace symbiont {

Status Turnstile::enter(TimePoint deadline, const std::stop_token& stop_token) {
  // The callback takes the mutex, so it is made before and destroyed after the lock below. Taking
  // it makes sure that a waiter is either before its check of stop_requested() or already waiting.
  const std::stop_callback wake(stop_token, [this] {
    {
      const MutexLock lock(mutex_);
    }
    changed_.notify_all();
  });
  const MutexLock lock(mutex_);
  if (queue_.size() >= kMaxQueued) {
    return fail(ErrorCode::ResourceExhausted,
                fmt::format("{} executions wait for this worker already", kMaxQueued));
  }
  const std::uint64_t ticket = next_ticket_++;
  queue_.push_back(ticket);
  Status outcome;
  while (inside_ >= capacity_ || queue_.front() != ticket) {
    if (stop_token.stop_requested()) {
      outcome = fail(ErrorCode::Cancelled, "cancelled while waiting for the worker");
      break;
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      outcome = fail(ErrorCode::DeadlineExceeded, "time ran out while waiting for the worker");
      break;
    }
    (void)changed_.wait_until(mutex_, deadline);
  }
  if (outcome.has_value()) {
    queue_.pop_front();
    ++inside_;
    if (inside_ < capacity_) changed_.notify_all();  // the next may come in too
  } else {
    queue_.erase(std::ranges::find(queue_, ticket));
    changed_.notify_all();  // the next in line may be at the front now
  }
  return outcome;
}

void Turnstile::leave() {
  const MutexLock lock(mutex_);
  --inside_;
  changed_.notify_all();
}

std::size_t Turnstile::waiting() {
  const MutexLock lock(mutex_);
  return queue_.size();
}

}  // namespace symbiont
