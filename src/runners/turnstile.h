#ifndef SYMBIONT_RUNNERS_TURNSTILE_H_
#define SYMBIONT_RUNNERS_TURNSTILE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <stop_token>

#include "base/mutex.h"
#include "base/result.h"

namespace symbiont {

inline constexpr std::size_t kMaxQueued = 1024;  ///< executions that wait for one worker

/// Lets so many threads through at a time, in the order of arrival. Threads: all methods from any.
class Turnstile {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit Turnstile(std::size_t capacity = 1) : capacity_(capacity) {}

  /// Waits for the turn. DeadlineExceeded, Cancelled, or ResourceExhausted when kMaxQueued wait
  /// already. After success the caller must call leave(); better, hold a Turn.
  [[nodiscard]] Status enter(TimePoint deadline, const std::stop_token& stop_token);
  void leave();
  /// How many wait, not counting those inside.
  [[nodiscard]] std::size_t waiting();

 private:
  const std::size_t capacity_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<std::uint64_t> queue_ SYMBIONT_GUARDED_BY(mutex_);  // those that wait
  std::uint64_t next_ticket_ SYMBIONT_GUARDED_BY(mutex_) = 0;
  std::size_t inside_ SYMBIONT_GUARDED_BY(mutex_) = 0;
};

/// Leaves the turnstile at the end of a scope. Made after a successful enter().
class Turn {
 public:
  explicit Turn(Turnstile& turnstile) : turnstile_(turnstile) {}
  ~Turn() { turnstile_.leave(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Turnstile& turnstile_;
};

}  // namespace symbiont

#endif  // SYMBIONT_RUNNERS_TURNSTILE_H_
