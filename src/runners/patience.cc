#include "runners/patience.h"

#include <algorithm>
#include <utility>

namespace symbiont {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

Patience make_patience(const SandboxProfile& profile,
                       milliseconds timeout,
                       std::stop_token stop_token) {
  const std::chrono::seconds most(profile.process_limits.max_execution_time_seconds);
  const milliseconds limit = std::min<milliseconds>(timeout, most);
  return {steady_clock::now() + limit, limit, std::move(stop_token)};
}

SlmRunnerError give_up_error(const Patience& patience) {
  if (patience.stop_token.stop_requested()) return SlmRunnerError(runner_error::Cancelled{});
  return SlmRunnerError(runner_error::ExecutionTimeout{patience.limit});
}

std::expected<void, SlmRunnerError> enter(Turnstile& turnstile, const Patience& patience) {
  const Status turn = turnstile.enter(patience.deadline, patience.stop_token);
  if (turn.has_value()) return {};
  switch (turn.error().code()) {
    case ErrorCode::Cancelled:
      return std::unexpected(SlmRunnerError(runner_error::Cancelled{}));
    case ErrorCode::ResourceExhausted:
      return std::unexpected(SlmRunnerError(
          runner_error::ResourceLimitExceeded{"waiting executions", kMaxQueued, kMaxQueued + 1}));
    default:
      return std::unexpected(SlmRunnerError(runner_error::ExecutionTimeout{patience.limit}));
  }
}

}  // namespace symbiont
