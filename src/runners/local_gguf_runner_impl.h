#ifndef SYMBIONT_RUNNERS_LOCAL_GGUF_RUNNER_IMPL_H_
#define SYMBIONT_RUNNERS_LOCAL_GGUF_RUNNER_IMPL_H_

// LocalGgufRunner with its parts handed in, for tests and for SandboxHost.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "symbiont/local_gguf_runner.h"

#include "base/mutex.h"
#include "base/result.h"
#include "runners/model_file.h"
#include "runners/sandbox_host_impl.h"
#include "runners/turnstile.h"
#include "runners/warm_runner.h"
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

  using SessionOutcome = std::expected<std::shared_ptr<WorkerSession>, SlmRunnerError>;
  /// The live worker, started when there is none. Of many callers one starts it.
  [[nodiscard]] SessionOutcome ensure_worker(const Patience& patience);
  [[nodiscard]] SessionOutcome start_session(const Patience& patience);
  [[nodiscard]] std::shared_ptr<WorkerSession> live_session();
  /// Prompts are remembered for executions with the same scope only.
  [[nodiscard]] std::uint64_t cache_key(const std::string& scope);
  [[nodiscard]] std::expected<void, SlmRunnerError> run(std::span<const ChatMessage> messages,
                                                        const ExecutionOptions& options,
                                                        const TokenSink& sink,
                                                        const Patience& patience,
                                                        ExecutionResult& result);

  const LocalRunnerParts parts;
  const SandboxProfile profile;
  const ModelResourceRequirements requirements;
  const LocalGgufOptions options;
  Turnstile turnstile;
  std::atomic<int> worker_pid = 0;

  // Touched only by the thread inside `starting`.
  Turnstile starting;
  ModelFile model;
  StartBackoff backoff;

  Mutex mutex;
  std::shared_ptr<WorkerSession> session SYMBIONT_GUARDED_BY(mutex);
  std::string engine SYMBIONT_GUARDED_BY(mutex);  // of the last worker
  std::string sha256 SYMBIONT_GUARDED_BY(mutex);  // of the model, once checked
  std::map<std::string, std::uint64_t> scopes SYMBIONT_GUARDED_BY(mutex);
  std::uint64_t next_cache_key SYMBIONT_GUARDED_BY(mutex) = 1;
};

}  // namespace symbiont

#endif  // SYMBIONT_RUNNERS_LOCAL_GGUF_RUNNER_IMPL_H_
