#include "cmd/symbiont/exit_codes.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "cmd/symbiont/terminal.h"
#include "observe/json.h"

namespace symbiont::cli {
namespace {

template <typename... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

/// A limit with room above what was seen: a quarter more, in steps of 64 MiB.
std::uint64_t roomier_mb(std::uint64_t bytes) {
  constexpr std::uint64_t kStep = 64;
  const std::uint64_t mb = (bytes >> 20U) + (bytes >> 22U) + 1;
  return (mb + kStep - 1) / kStep * kStep;
}

std::string limit_hint(const runner_error::ResourceLimitExceeded& error) {
  if (error.resource == "memory") {
    return fmt::format(
        "allow more with --set resources.max_memory_mb={}, or with max_memory_mb of the profile in "
        "the configuration",
        roomier_mb(std::max(error.limit, error.peak)));
  }
  if (error.resource == "disk") {
    return "allow more with --set resources.max_disk_mb=N, or with max_disk_mb of the profile";
  }
  return "raise the limit in the profile; 'symbiont run --help' shows --set for one run";
}

std::string input_hint(const runner_error::InvalidInput& error) {
  if (error.field == "prompt") return "give a prompt as argument, or on standard input";
  return "'symbiont run --help' lists the options and their ranges";
}

struct RunnerCase {
  ExitCode exit;
  std::string hint;
};

RunnerCase classify(const SlmRunnerError::Detail& detail) {
  using namespace runner_error;  // NOLINT(google-build-using-namespace): eleven kinds, one function
  return std::visit(
      Overloaded{
          [](const InitializationFailed&) {
            return RunnerCase{ExitCode::Other,
                              "'symbiont doctor' shows what this host can enforce"};
          },
          [](const ExecutionFailed&) {
            return RunnerCase{ExitCode::Other, "'--json' shows the verdict and every figure"};
          },
          [](const ResourceLimitExceeded& e) {
            return RunnerCase{ExitCode::LimitHit, limit_hint(e)};
          },
          [](const SandboxViolation&) {
            return RunnerCase{ExitCode::SandboxViolation,
                              "do not trust this model file; '--json' shows the verdict"};
          },
          [](const ModelFileNotFound&) {
            return RunnerCase{ExitCode::ModelNotFound,
                              "'--model' takes the path of a GGUF file or an id of 'symbiont "
                              "models list'"};
          },
          [](const ModelInvalid& e) {
            return RunnerCase{ExitCode::ModelNotFound,
                              fmt::format("'symbiont inspect {}' looks at the file", e.path)};
          },
          [](const ExecutionTimeout&) {
            return RunnerCase{ExitCode::Timeout, "allow more time with --timeout 2m"};
          },
          [](const Cancelled&) { return RunnerCase{ExitCode::Other, ""}; },
          [](const InvalidInput& e) { return RunnerCase{ExitCode::Usage, input_hint(e)}; },
          [](const ControlUnavailable&) {
            return RunnerCase{ExitCode::ControlUnavailable,
                              "'symbiont doctor' says what would help; --degraded runs with what "
                              "is held in part"};
          },
          [](const IoError&) { return RunnerCase{ExitCode::Other, ""}; },
      },
      detail);
}

}  // namespace

Failure usage_failure(std::string message, std::string hint) {
  return {ExitCode::Usage, "Usage", std::move(message), std::move(hint)};
}

Failure to_failure(const SlmRunnerError& error) {
  RunnerCase found = classify(error.detail());
  return {found.exit, std::string(error.kind()), error.message(), std::move(found.hint)};
}

Failure to_failure(const ModelCatalogError& error) {
  using E = ModelCatalogError;
  Failure failure = std::visit(
      Overloaded{
          [](const E::ModelNotFound&) {
            return Failure{ExitCode::ModelNotFound, "ModelNotFound", "",
                           "'symbiont models list' shows them all"};
          },
          [](const E::InvalidConfig&) {
            return Failure{ExitCode::Configuration, "InvalidConfig", "",
                           "'symbiont config check' shows every problem"};
          },
          [](const E::SandboxProfileNotFound&) {
            return Failure{ExitCode::Configuration, "SandboxProfileNotFound", "",
                           "profiles are [slm.sandbox_profiles.NAME] in the configuration"};
          },
          [](const E::NoModelsForAgent& e) {
            return Failure{ExitCode::AccessDenied, "NoModelsForAgent", "",
                           fmt::format("agent_model_maps in the configuration grants models; "
                                       "'symbiont models list --agent {}' shows what it may use",
                                       e.agent)};
          },
          [](const E::AccessDenied& e) {
            return Failure{
                ExitCode::AccessDenied, "AccessDenied", "",
                fmt::format("'symbiont models list --agent {}' shows what it may use", e.agent)};
          },
      },
      error.details());
  failure.message = error.message();
  return failure;
}

Failure to_failure(const EngineError& error) {
  return std::visit([](const auto& e) { return to_failure(e); }, error);
}

Failure to_failure(const Error& error) {
  const bool invalid = error.code() == ErrorCode::InvalidArgument;
  return {invalid ? ExitCode::Usage : ExitCode::Other, std::string(to_string(error.code())),
          error.message(), ""};
}

int report(const Failure& failure, bool json) {
  if (json) {
    observe::Json error = {{"code", failure.kind}, {"message", failure.message}};
    if (!failure.hint.empty()) error["hint"] = failure.hint;
    const observe::Json object = {{"error", std::move(error)}};
    (void)write_stdout(observe::dump(object) + "\n").has_value();
  }
  print_error(failure.message, failure.hint);
  return to_int(failure.exit);
}

}  // namespace symbiont::cli
