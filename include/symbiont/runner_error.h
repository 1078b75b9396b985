#ifndef SYMBIONT_RUNNER_ERROR_H_
#define SYMBIONT_RUNNER_ERROR_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "symbiont/execution.h"

namespace symbiont {

/// Why an execution failed. One alternative each, with its own details; `SlmRunnerError::message()`
/// names the object.
namespace runner_error {
/// The runner could not be made: `reason` names what is missing (a program, a model of the engine,
/// a library).
struct InitializationFailed {
  std::string reason;
};
/// The engine failed or its process ended for a reason that is no limit: see metadata().verdict.
struct ExecutionFailed {
  std::string reason;
};
/// `resource` ("memory", "disk", "processes", "cpu time"), in bytes or count; `peak` is what was
/// seen or is needed.
struct ResourceLimitExceeded {
  std::string resource;
  std::uint64_t limit = 0;
  std::uint64_t peak = 0;
};
/// The confined process did what its policy forbids.
struct SandboxViolation {
  std::string what;
};
struct ModelFileNotFound {
  std::string path;
};
struct ModelInvalid {
  std::string path;
  std::string reason;
};
struct ExecutionTimeout {
  std::chrono::milliseconds limit{0};
};
struct Cancelled {};
struct InvalidInput {
  std::string field;
  std::string reason;
};
/// Controls of the profile that this host cannot enforce; nothing was started.
struct ControlUnavailable {
  std::vector<std::string> controls;
  std::string reason;
};
struct IoError {
  std::string what;
  int sys_errno = 0;
};
}  // namespace runner_error

class SlmRunnerError {
 public:
  using Detail = std::variant<runner_error::InitializationFailed,
                              runner_error::ExecutionFailed,
                              runner_error::ResourceLimitExceeded,
                              runner_error::SandboxViolation,
                              runner_error::ModelFileNotFound,
                              runner_error::ModelInvalid,
                              runner_error::ExecutionTimeout,
                              runner_error::Cancelled,
                              runner_error::InvalidInput,
                              runner_error::ControlUnavailable,
                              runner_error::IoError>;

  // NOLINTNEXTLINE(google-explicit-constructor): a sum type
  SlmRunnerError(Detail detail) : detail_(std::move(detail)) {}

  [[nodiscard]] const Detail& detail() const { return detail_; }
  /// Shorthand: nullptr when the error is of another kind.
  template <typename T>
  [[nodiscard]] const T* get_if() const {
    return std::get_if<T>(&detail_);
  }
  /// Name of the kind: "ModelInvalid".
  [[nodiscard]] std::string_view kind() const;
  /// One line for people; names the object and the next step.
  [[nodiscard]] std::string message() const;

  /// Text generated before the failure. May be empty.
  [[nodiscard]] const std::string& partial_response() const { return partial_response_; }
  /// What was known when it failed (ids, timings, verdict, controls); never null.
  [[nodiscard]] const ExecutionMetadata& metadata() const { return metadata_; }

  void set_context(std::string partial_response, ExecutionMetadata metadata) {
    partial_response_ = std::move(partial_response);
    metadata_ = std::move(metadata);
  }

 private:
  Detail detail_;
  std::string partial_response_;
  ExecutionMetadata metadata_;
};

}  // namespace symbiont

#endif  // SYMBIONT_RUNNER_ERROR_H_
