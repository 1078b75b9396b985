#ifndef SYMBIONT_RUNNERS_PATIENCE_H_
#define SYMBIONT_RUNNERS_PATIENCE_H_

// How long a caller waits, and what it hears when that was not long enough.

#include <chrono>
#include <expected>
#include <stop_token>

#include "symbiont/runner_error.h"
#include "symbiont/sandbox_profile.h"

#include "runners/turnstile.h"

namespace symbiont {

/// When to give up: the caller's deadline and stop request.
struct Patience {
  std::chrono::steady_clock::time_point deadline;
  std::chrono::milliseconds limit{0};  ///< what the deadline was made from, for messages
  std::stop_token stop_token;
};

/// From now on, for `timeout` but never longer than an execution may take under `profile`.
[[nodiscard]] Patience make_patience(const SandboxProfile& profile,
                                     std::chrono::milliseconds timeout,
                                     std::stop_token stop_token);

/// Cancelled or ExecutionTimeout, whichever it was.
[[nodiscard]] SlmRunnerError give_up_error(const Patience& patience);

/// Waits for the turn: after success the caller holds a Turn. Cancelled, ExecutionTimeout, or
/// ResourceLimitExceeded when kMaxQueued wait already.
[[nodiscard]] std::expected<void, SlmRunnerError> enter(Turnstile& turnstile,
                                                        const Patience& patience);

}  // namespace symbiont

#endif  // SYMBIONT_RUNNERS_PATIENCE_H_
