#ifndef SYMBIONT_RUNNERS_PROCESS_RUNNER_IMPL_H_
#define SYMBIONT_RUNNERS_PROCESS_RUNNER_IMPL_H_

#include <atomic>
#include <expected>
#include <memory>
#include <span>
#include <string>

#include "symbiont/process_runner.h"

#include "base/mutex.h"
#include "runners/process_runner_session.h"
#include "runners/turnstile.h"
#include "runners/warm_runner.h"

namespace symbiont {

struct ProcessRunner::Impl {
  using RunnerStatus = std::expected<void, SlmRunnerError>;
  Impl(EngineSpec spec_in,
       ModelResourceRequirements requirements_in,
       ProcessRunnerOptions options_in);

  /// Inside the turnstile: an idle, live engine, started when there is none.
  [[nodiscard]] RunnerStatus ensure_engine(const Patience& patience);
  [[nodiscard]] RunnerStatus run(std::span<const ChatMessage> messages,
                                 const ExecutionOptions& execution_options,
                                 const TokenSink& sink,
                                 const Patience& patience,
                                 ExecutionResult& result);

  const EngineSpec spec;
  const ModelResourceRequirements requirements;
  const ProcessRunnerOptions options;
  Turnstile turnstile;
  std::atomic<int> pid = 0;

  // Touched only by the thread inside the turnstile.
  std::unique_ptr<EngineSession> session;
  StartBackoff backoff;

  Mutex info_mutex;
  std::string engine SYMBIONT_GUARDED_BY(info_mutex);
};

/// With the times of `spec` as they are, for tests.
[[nodiscard]] std::expected<std::unique_ptr<ProcessRunner>, SlmRunnerError> make_process_runner(
    EngineSpec spec, const ModelResourceRequirements& requirements, ProcessRunnerOptions options);

}  // namespace symbiont

#endif  // SYMBIONT_RUNNERS_PROCESS_RUNNER_IMPL_H_
