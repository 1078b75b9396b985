#ifndef SYMBIONT_RUNNER_H_
#define SYMBIONT_RUNNER_H_

#include <cstddef>
#include <expected>
#include <filesystem>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "symbiont/execution.h"
#include "symbiont/model.h"
#include "symbiont/runner_error.h"
#include "symbiont/sandbox_profile.h"

namespace symbiont {

/// Executions that one worker of a LocalGgufRunner decodes together, unless told otherwise.
inline constexpr std::size_t kDefaultParallel = 4;

/// What a runner is, for people and for `symbiont models show`.
struct RunnerInfo {
  std::string name;     ///< "LocalGgufRunner"
  std::string version;  ///< of the engine behind it
  std::string model;    ///< what it runs
  bool streams = true;
  bool sandboxed = true;
};

/// Runs prompts on one model under one profile. Subclass it to add a kind of model.
///
/// Threads: every method may be called from many threads at once.
class SlmRunner {
 public:
  SlmRunner() = default;
  SlmRunner(const SlmRunner&) = delete;
  SlmRunner& operator=(const SlmRunner&) = delete;
  virtual ~SlmRunner() = default;

  using Outcome = std::expected<ExecutionResult, SlmRunnerError>;

  /// Answers a text prompt as one user message. Blocks until the last token, an error, or
  /// options.timeout.
  [[nodiscard]] Outcome execute(std::string_view prompt, const ExecutionOptions& options = {}) {
    return execute(prompt, options, nullptr, {});
  }
  /// As above, handing out text as it comes. `sink` may be null. Requesting a stop ends it within
  /// one decode step.
  [[nodiscard]] Outcome execute(std::string_view prompt,
                                const ExecutionOptions& options,
                                const TokenSink& sink,
                                std::stop_token stop_token);
  /// Answers a conversation: 1 .. 1024 messages.
  [[nodiscard]] virtual Outcome execute_chat(std::span<const ChatMessage> messages,
                                             const ExecutionOptions& options,
                                             const TokenSink& sink,
                                             std::stop_token stop_token) = 0;

  [[nodiscard]] virtual const SandboxProfile& get_sandbox_profile() const = 0;
  [[nodiscard]] virtual const ModelResourceRequirements& get_resource_requirements() const = 0;
  /// Whether an execution would be accepted now; starts the engine when it is not running yet.
  [[nodiscard]] virtual std::expected<void, SlmRunnerError> health_check() = 0;
  [[nodiscard]] virtual RunnerInfo get_info() const = 0;
};

}  // namespace symbiont

#endif  // SYMBIONT_RUNNER_H_
