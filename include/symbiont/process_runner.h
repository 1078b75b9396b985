#ifndef SYMBIONT_PROCESS_RUNNER_H_
#define SYMBIONT_PROCESS_RUNNER_H_

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "symbiont/runner.h"
#include "symbiont/sandbox_host.h"

namespace symbiont {

/// Settings of a ProcessRunner that are not part of its profile.
struct ProcessRunnerOptions {
  std::string model_id{};       ///< appears in results; the program's name when empty
  std::string model_version{};  ///< appears in results
  std::string agent{};          ///< appears in results
  std::string isolation = "agent";
  bool strict = true;  ///< refuse to start when a control of the profile cannot be enforced
  std::shared_ptr<SandboxHost> host{};  ///< null: one of its own
};

/// Runs any program that speaks the engine protocol (docs/runners.md) on its standard streams, one
/// JSON object a line, confined under the profile. The program starts at the first call (or
/// health_check), stays warm, and is started again after it died or broke the protocol. One
/// execution runs at a time; others wait for their turn within their own timeout.
///
/// max_execution_time_seconds limits each execution, not the life of the program. Nothing the
/// program says is believed: a line that is too long, no message of the protocol or out of order is
/// ExecutionFailed, and the program is killed.
class ProcessRunner final : public SlmRunner {
 public:
  /// `command`: program (a path with a slash) and its arguments. Checks the profile; starts
  /// nothing.
  [[nodiscard]] static std::expected<std::unique_ptr<ProcessRunner>, SlmRunnerError> create(
      std::vector<std::string> command,
      const SandboxProfile& profile,
      const ModelResourceRequirements& requirements,
      ProcessRunnerOptions options = {});
  ~ProcessRunner() override;

  [[nodiscard]] Outcome execute_chat(std::span<const ChatMessage> messages,
                                     const ExecutionOptions& options,
                                     const TokenSink& sink,
                                     std::stop_token stop_token) override;
  [[nodiscard]] const SandboxProfile& get_sandbox_profile() const override;
  [[nodiscard]] const ModelResourceRequirements& get_resource_requirements() const override;
  [[nodiscard]] std::expected<void, SlmRunnerError> health_check() override;
  /// `version`: name and version as the engine gave them; empty before its first start.
  [[nodiscard]] RunnerInfo get_info() const override;

  /// Process id of the running engine, 0 when there is none. For operators and tests.
  [[nodiscard]] int engine_pid() const;

  struct Impl;  ///< the library's own
  explicit ProcessRunner(std::unique_ptr<Impl> impl);

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace symbiont

#endif  // SYMBIONT_PROCESS_RUNNER_H_
