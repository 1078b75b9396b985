#include "symbiont/runner_error.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "base/result.h"

namespace symbiont {
namespace {

template <typename... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

std::string limit_message(const runner_error::ResourceLimitExceeded& error) {
  constexpr double kMib = 1024.0 * 1024.0;
  if (error.resource == "memory") {
    return fmt::format(
        "memory limit exceeded: limit {:.0f} MiB, needed or seen {:.0f} MiB; use a smaller model "
        "or "
        "context, or raise max_memory_mb of the profile",
        static_cast<double>(error.limit) / kMib, static_cast<double>(error.peak) / kMib);
  }
  return fmt::format("{} limit exceeded: limit {}, needed or seen {}; raise the profile's limit",
                     error.resource, error.limit, error.peak);
}

}  // namespace

std::string_view SlmRunnerError::kind() const {
  return std::visit(
      Overloaded{
          [](const runner_error::InitializationFailed&) { return "InitializationFailed"; },
          [](const runner_error::ExecutionFailed&) { return "ExecutionFailed"; },
          [](const runner_error::ResourceLimitExceeded&) { return "ResourceLimitExceeded"; },
          [](const runner_error::SandboxViolation&) { return "SandboxViolation"; },
          [](const runner_error::ModelFileNotFound&) { return "ModelFileNotFound"; },
          [](const runner_error::ModelInvalid&) { return "ModelInvalid"; },
          [](const runner_error::ExecutionTimeout&) { return "ExecutionTimeout"; },
          [](const runner_error::Cancelled&) { return "Cancelled"; },
          [](const runner_error::InvalidInput&) { return "InvalidInput"; },
          [](const runner_error::ControlUnavailable&) { return "ControlUnavailable"; },
          [](const runner_error::IoError&) { return "IoError"; },
      },
      detail_);
}

std::string SlmRunnerError::message() const {
  return std::visit(
      Overloaded{
          [](const runner_error::InitializationFailed& e) {
            return fmt::format("the runner could not start: {}", e.reason);
          },
          [](const runner_error::ExecutionFailed& e) {
            return fmt::format("the execution failed: {}", e.reason);
          },
          [](const runner_error::ResourceLimitExceeded& e) { return limit_message(e); },
          [](const runner_error::SandboxViolation& e) {
            return fmt::format("sandbox violation: {}; the worker was ended", e.what);
          },
          [](const runner_error::ModelFileNotFound& e) {
            return fmt::format("model file '{}' does not exist; check file_path", e.path);
          },
          [](const runner_error::ModelInvalid& e) {
            return fmt::format("model file '{}' cannot be used: {}", e.path, e.reason);
          },
          [](const runner_error::ExecutionTimeout& e) {
            return fmt::format(
                "no complete answer within {} ms; allow more time or fewer tokens "
                "(max_tokens)",
                e.limit.count());
          },
          [](const runner_error::Cancelled&) { return std::string("the execution was cancelled"); },
          [](const runner_error::InvalidInput& e) {
            return fmt::format("invalid {}: {}", e.field, e.reason);
          },
          [](const runner_error::ControlUnavailable& e) {
            return fmt::format(
                "this host cannot enforce {}: {}; 'symbiont doctor' says what would help",
                e.controls.empty() ? std::string("the profile")
                                   : fmt::to_string(fmt::join(e.controls, ", ")),
                e.reason);
          },
          [](const runner_error::IoError& e) {
            return e.sys_errno == 0 ? e.what
                                    : fmt::format("{}: {}", e.what, errno_text(e.sys_errno));
          },
      },
      detail_);
}

}  // namespace symbiont
