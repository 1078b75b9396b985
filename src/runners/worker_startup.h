#ifndef SYMBIONT_RUNNERS_WORKER_STARTUP_H_
#define SYMBIONT_RUNNERS_WORKER_STARTUP_H_

// From nothing to a confined worker that has loaded its model. Whatever the worker sends is
// checked; a worker that breaks the protocol is killed.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "symbiont/runner_error.h"

#include "ipc/channel.h"
#include "runners/model_file.h"
#include "runners/patience.h"
#include "runners/worker_frames.h"
#include "sandbox/sandbox.h"

namespace symbiont {

inline constexpr std::size_t kMaxProgressFrames = 100'000;
inline constexpr std::chrono::seconds kLockTimeout{15};  ///< from spawn to Locked
inline constexpr std::chrono::seconds kReapTimeout{5};   ///< from a kill to the verdict

struct WorkerSpec {
  sandbox::Policy policy;
  std::uint32_t context_tokens = 0;
  std::uint16_t max_sequences = 1;               ///< executions decoded together
  bool embeddings = false;                       ///< executions may ask for them
  std::chrono::milliseconds cancel_grace{2000};  ///< from Cancel to the kill
  std::function<void(float)> on_load_progress;   ///< may be null
};

struct StartedWorker {
  std::unique_ptr<sandbox::SandboxedProcess> process;
  ipc::Channel channel;
  WorkerReady ready;
};

/// Spawns, proves the confinement, loads the model. The worker holds nothing untrusted before the
/// proof. On error nothing is left running; the error's metadata has verdict and controls.
[[nodiscard]] std::expected<StartedWorker, SlmRunnerError> start_worker(sandbox::Launcher& launcher,
                                                                        const WorkerSpec& spec,
                                                                        ModelFile& model,
                                                                        const Patience& patience);

/// As far as the proof and no further: nothing untrusted is read, and nothing is left running. How
/// long it took.
[[nodiscard]] std::expected<std::chrono::milliseconds, SlmRunnerError> try_start(
    sandbox::Launcher& launcher, const sandbox::Policy& policy);

/// Verdict, controls and use of resources of a worker's process.
void fill_from_process(sandbox::SandboxedProcess& process,
                       const Verdict& verdict,
                       std::uint64_t memory_limit,
                       ExecutionMetadata& metadata);

}  // namespace symbiont

#endif  // SYMBIONT_RUNNERS_WORKER_STARTUP_H_
