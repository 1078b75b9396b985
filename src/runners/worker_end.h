#ifndef SYMBIONT_RUNNERS_WORKER_END_H_
#define SYMBIONT_RUNNERS_WORKER_END_H_

#include <chrono>
#include <string>
#include <string_view>

#include "symbiont/runner_error.h"
#include "symbiont/verdict.h"

#include "base/result.h"
#include "runners/worker_frames.h"
#include "sandbox/sandbox.h"

namespace symbiont {

/// What the end of a worker means for the execution it cost. `phase`: "setup", "load", "inference".
[[nodiscard]] SlmRunnerError error_from_verdict(const Verdict& verdict,
                                                std::string_view phase,
                                                const std::string& model_path);

/// What a worker's own report of failure means. `memory_limit` in bytes. `prompt_field`: what the
/// caller passed in.
[[nodiscard]] SlmRunnerError error_from_failure(const WorkerFailed& failed,
                                                const std::string& model_path,
                                                std::uint64_t memory_limit,
                                                std::string_view prompt_field = "prompt");

/// What a failed start means.
[[nodiscard]] SlmRunnerError error_from_spawn(const Error& error,
                                              sandbox::Launcher& launcher,
                                              const sandbox::Policy& policy);

}  // namespace symbiont

#endif  // SYMBIONT_RUNNERS_WORKER_END_H_
