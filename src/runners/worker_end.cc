#include "runners/worker_end.h"

#include <signal.h>

#include <algorithm>

#include <fmt/core.h>

namespace symbiont {
namespace {

/// The worker ended by itself or by a signal that no limit explains.
SlmRunnerError from_crash(const Verdict& verdict,
                          std::string_view phase,
                          const std::string& model_path) {
  std::string how = describe(verdict);
  if (verdict.kind == VerdictKind::Signaled && verdict.signal == SIGILL)
    how += ", as on a processor other than the one llama.cpp was built for: build it on this host";
  if (phase == "setup") {
    return SlmRunnerError(
        runner_error::InitializationFailed{fmt::format("the worker did not start: {}", how)});
  }
  const bool by_hand = verdict.kind == VerdictKind::Signaled &&
                       (verdict.signal == SIGKILL || verdict.signal == SIGTERM);
  if (phase == "load" && !by_hand) {
    return SlmRunnerError(runner_error::ModelInvalid{
        model_path, fmt::format("the engine crashed while loading it ({})", how)});
  }
  return SlmRunnerError(runner_error::ExecutionFailed{fmt::format(
      "the worker process ended during {} ({}); the next execution starts another", phase, how)});
}

}  // namespace

SlmRunnerError error_from_verdict(const Verdict& verdict,
                                  std::string_view phase,
                                  const std::string& model_path) {
  using runner_error::ResourceLimitExceeded;
  switch (verdict.kind) {
    case VerdictKind::MemoryLimit:
      return SlmRunnerError(
          ResourceLimitExceeded{"memory", verdict.limit_bytes, verdict.peak_bytes});
    case VerdictKind::DiskLimit:
    case VerdictKind::FileSizeLimit:
      return SlmRunnerError(ResourceLimitExceeded{"disk", verdict.limit_bytes, verdict.peak_bytes});
    case VerdictKind::ProcessLimit:
      return SlmRunnerError(
          ResourceLimitExceeded{"processes", verdict.limit_bytes, verdict.peak_bytes});
    case VerdictKind::CpuTimeLimit:
      return SlmRunnerError(
          ResourceLimitExceeded{"cpu time", verdict.limit_bytes, verdict.peak_bytes});
    case VerdictKind::TimeLimit:
      return SlmRunnerError(runner_error::ExecutionTimeout{verdict.elapsed});
    case VerdictKind::SyscallDenied:
    case VerdictKind::FsDenied:
    case VerdictKind::NetDenied:
      return SlmRunnerError(runner_error::SandboxViolation{describe(verdict)});
    case VerdictKind::SetupFailed:
      return SlmRunnerError(runner_error::InitializationFailed{describe(verdict)});
    case VerdictKind::Running:
    case VerdictKind::Exited:
    case VerdictKind::Signaled:
    case VerdictKind::Killed:
      break;
  }
  return from_crash(verdict, phase, model_path);
}

SlmRunnerError error_from_failure(const WorkerFailed& failed,
                                  const std::string& model_path,
                                  std::uint64_t memory_limit,
                                  std::string_view prompt_field) {
  using ipc::fb::FailureKind;
  switch (failed.kind) {
    case FailureKind::ModelInvalid:
      return SlmRunnerError(runner_error::ModelInvalid{model_path, failed.message});
    case FailureKind::OutOfMemory:
      return SlmRunnerError(runner_error::ResourceLimitExceeded{
          "memory", memory_limit, std::max(failed.needed, memory_limit)});
    case FailureKind::ContextOverflow:
      return SlmRunnerError(runner_error::InvalidInput{
          std::string(prompt_field),
          fmt::format("it has {} tokens; the context holds {}", failed.needed, failed.limit)});
    case FailureKind::InvalidRequest:
      return SlmRunnerError(runner_error::InvalidInput{"request", failed.message});
    case FailureKind::SchemaRefused:
      return SlmRunnerError(runner_error::InvalidInput{"json_schema", failed.message});
    case FailureKind::TemplateFailed:
      return SlmRunnerError(runner_error::ExecutionFailed{
          fmt::format("the model's chat template failed: {}; try raw", failed.message)});
    case FailureKind::Internal:
      break;
  }
  return SlmRunnerError(runner_error::ExecutionFailed{fmt::format("engine: {}", failed.message)});
}

SlmRunnerError error_from_spawn(const Error& error,
                                sandbox::Launcher& launcher,
                                const sandbox::Policy& policy) {
  if (error.code() == ErrorCode::FailedPrecondition) {
    return SlmRunnerError(runner_error::ControlUnavailable{
        sandbox::missing_controls(launcher, policy), error.message()});
  }
  return SlmRunnerError(runner_error::InitializationFailed{error.message()});
}

}  // namespace symbiont
