#include "runners/warm_runner.h"

#include <algorithm>
#include <utility>

#include "base/pause.h"
#include "runners/random.h"

namespace symbiont {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr unsigned kFreeFailures = 1;
constexpr milliseconds kFirstBackoff{100};
constexpr milliseconds kMaxBackoff{5000};
constexpr unsigned kMaxDoublings = 6;  // beyond kMaxBackoff

}  // namespace

std::expected<void, SlmRunnerError> StartBackoff::wait_out(const Patience& patience) const {
  if (failed_starts_ <= kFreeFailures) return {};
  const unsigned doublings = std::min(failed_starts_ - kFreeFailures - 1, kMaxDoublings);
  const auto ready_at =
      last_failure_ + std::min<milliseconds>(kFirstBackoff * (1U << doublings), kMaxBackoff);
  pause_until(std::min(ready_at, patience.deadline), patience.stop_token);
  if (patience.stop_token.stop_requested() || steady_clock::now() >= patience.deadline)
    return std::unexpected(give_up_error(patience));
  return {};
}

void StartBackoff::note_failure(const SlmRunnerError& error) {
  if (error.get_if<runner_error::Cancelled>() != nullptr ||
      error.get_if<runner_error::ExecutionTimeout>() != nullptr) {
    return;
  }
  ++failed_starts_;
  last_failure_ = steady_clock::now();
}

void fill_new(ExecutionMetadata& metadata, const SandboxProfile& profile) {
  metadata.execution_id = new_execution_id();
  metadata.profile = profile.name;
  metadata.finish_reason = "error";  // until it ends otherwise
  metadata.resources.memory_limit_bytes = profile.resources.max_memory_mb << 20U;
}

void tell_of_failed_start(const SlmRunnerError& error, ExecutionMetadata& metadata) {
  const ExecutionMetadata& known = error.metadata();
  metadata.verdict = known.verdict;
  metadata.controls = known.controls;
  if (known.resources.memory_limit_bytes != 0) metadata.resources = known.resources;
}

SlmRunner::Outcome conclude(std::expected<void, SlmRunnerError> outcome,
                            ExecutionResult result,
                            steady_clock::time_point called) {
  result.metadata.timing.total_ms = elapsed_ms(called);
  if (outcome.has_value()) return result;
  SlmRunnerError error = std::move(outcome).error();
  result.metadata.finish_reason = "error";
  if (error.get_if<runner_error::ExecutionTimeout>() != nullptr) {
    result.metadata.finish_reason = "timeout";
  } else if (error.get_if<runner_error::Cancelled>() != nullptr) {
    result.metadata.finish_reason = "cancelled";
  }
  error.set_context(std::move(result.response), std::move(result.metadata));
  return std::unexpected(std::move(error));
}

double elapsed_ms(steady_clock::time_point since) {
  return std::chrono::duration<double, std::milli>(steady_clock::now() - since).count();
}

}  // namespace symbiont
