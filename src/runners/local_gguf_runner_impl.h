#ifndef SYMBIONT_RUNNERS_LOCAL_GGUF_RUNNER_IMPL_H_
#define SYMBIONT_RUNNERS_LOCAL_GGUF_RUNNER_IMPL_H_

// LocalGgufRunner with its parts handed in, for tests and for SandboxHost.

#include <atomic>
#include <chrono>
#include <expected>
#include <filesystem>
#include <memory>

#include "symbiont/local_gguf_runner.h"

#include "base/mutex.h"
#include "base/result.h"
#include "runners/model_file.h"
#include "runners/sandbox_host_impl.h"
#include "runners/turnstile.h"
#include "runners/worker_session.h"

namespace symbiont {

/// What a runner takes from its surroundings.
struct LocalRunnerParts {
  std::shared_ptr<sandbox::Launcher> launcher;
  std::filesystem::path worker_program;          ///< empty: found at the first start
  std::chrono::milliseconds cancel_grace{2000};  ///< from Cancel to the kill
};

[[nodiscard]] std::expected<std::unique_ptr<LocalGgufRunner>, SlmRunnerError>
make_local_gguf_runner(LocalRunnerParts parts,
                       const std::filesystem::path& model_file,
                       const SandboxProfile& profile,
                       const ModelResourceRequirements& requirements,
                       LocalGgufOptions options);

struct LocalGgufRunner::Impl {
  Impl(LocalRunnerParts parts_in,
       ModelFile model_in,
       SandboxProfile profile_in,
       ModelResourceRequirements requirements_in,
       LocalGgufOptions options_in);

  /// Inside the turnstile: an idle, live worker, started when there is none.
  [[nodiscard]] std::expected<void, SlmRunnerError> ensure_worker(const Patience& patience);
  [[nodiscard]] std::expected<void, SlmRunnerError> wait_out_backoff(const Patience& patience);
  /// Waits for the turn; maps the ways not to get it.
  [[nodiscard]] std::expected<void, SlmRunnerError> enter(const Patience& patience);
  [[nodiscard]] std::expected<void, SlmRunnerError> run(std::span<const ChatMessage> messages,
                                                        const ExecutionOptions& options,
                                                        const TokenSink& sink,
                                                        const Patience& patience,
                                                        ExecutionResult& result);
  [[nodiscard]] ExecutionMetadata new_metadata() const;
  [[nodiscard]] Patience make_patience(std::chrono::milliseconds timeout,
                                       std::stop_token stop_token) const;

  const LocalRunnerParts parts;
  const SandboxProfile profile;
  const ModelResourceRequirements requirements;
  const LocalGgufOptions options;
  Turnstile turnstile;
  std::atomic<int> worker_pid = 0;

  // Touched only by the thread inside the turnstile.
  ModelFile model;
  std::unique_ptr<WorkerSession> session;
  unsigned failed_starts = 0;  // in a row
  std::chrono::steady_clock::time_point last_failed_start;

  Mutex info_mutex;
  std::string engine SYMBIONT_GUARDED_BY(info_mutex);  // of the last worker
};

}  // namespace symbiont

#endif  // SYMBIONT_RUNNERS_LOCAL_GGUF_RUNNER_IMPL_H_
