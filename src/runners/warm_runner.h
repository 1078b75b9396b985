#ifndef SYMBIONT_RUNNERS_WARM_RUNNER_H_
#define SYMBIONT_RUNNERS_WARM_RUNNER_H_

// What the runners that keep a process warm do alike around each execution.

#include <chrono>
#include <expected>

#include "symbiont/execution.h"
#include "symbiont/runner.h"
#include "symbiont/runner_error.h"
#include "symbiont/sandbox_profile.h"

#include "runners/patience.h"

namespace symbiont {

/// Keeps starts that fail one after the other apart: the second failure costs 0.1 s, each further
/// one twice as much, 5 s at most. Threads: one at a time.
class StartBackoff {
 public:
  /// Cancelled or ExecutionTimeout when patience ends before the next start may begin.
  [[nodiscard]] std::expected<void, SlmRunnerError> wait_out(const Patience& patience) const;
  /// Whoever lost patience has said nothing about the next start.
  void note_failure(const SlmRunnerError& error);
  void note_success() { failed_starts_ = 0; }

 private:
  unsigned failed_starts_ = 0;  // in a row
  std::chrono::steady_clock::time_point last_failure_;
};

/// What every execution begins with; its id is new.
void fill_new(ExecutionMetadata& metadata, const SandboxProfile& profile);
/// As above, and whose it is. `Options`: a runner's.
template <typename Options>
[[nodiscard]] ExecutionMetadata new_metadata(const Options& options,
                                             const SandboxProfile& profile) {
  ExecutionMetadata metadata;
  metadata.model_id = options.model_id;
  metadata.model_version = options.model_version;
  metadata.agent = options.agent;
  metadata.isolation = options.isolation;
  fill_new(metadata, profile);
  return metadata;
}

/// What is known of a process that could not be started.
void tell_of_failed_start(const SlmRunnerError& error, ExecutionMetadata& metadata);

/// What a caller gets: `result`, or the error with what there is of it.
[[nodiscard]] SlmRunner::Outcome conclude(std::expected<void, SlmRunnerError> outcome,
                                          ExecutionResult result,
                                          std::chrono::steady_clock::time_point called);

[[nodiscard]] double elapsed_ms(std::chrono::steady_clock::time_point since);

}  // namespace symbiont

#endif  // SYMBIONT_RUNNERS_WARM_RUNNER_H_
