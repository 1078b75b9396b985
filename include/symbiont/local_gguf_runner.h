#ifndef SYMBIONT_LOCAL_GGUF_RUNNER_H_
#define SYMBIONT_LOCAL_GGUF_RUNNER_H_

#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "symbiont/runner.h"
#include "symbiont/sandbox_host.h"

namespace symbiont {

/// Settings of a LocalGgufRunner that are not part of its profile.
struct LocalGgufOptions {
  std::string model_id{};       ///< appears in results; the file name when empty
  std::string model_version{};  ///< appears in results
  std::string agent{};          ///< appears in results
  std::string isolation = "agent";
  /// 64 hex digits. When set, the very bytes that are loaded are checked against it.
  std::optional<std::string> sha256{};
  std::uint32_t context_tokens = 4096;  ///< 0 = the model's own; capped by it
  /// Executions decoded together, 1 .. 64; further ones wait for their turn within their own
  /// timeout. Each may fill the context; what they need together is bounded by the memory limit.
  std::size_t max_parallel = kDefaultParallel;
  bool embeddings = false;  ///< makes embeddings too, which takes some memory
  bool strict = true;       ///< refuse to start when a control of the profile cannot be enforced
  /// Called while the model loads, 0 .. 1, from the calling thread. May be null.
  std::function<void(float fraction)> on_load_progress{};
  std::shared_ptr<SandboxHost> host{};  ///< null: one of its own
};

/// Runs a GGUF file on llama.cpp inside a worker process that the kernel confines. The worker
/// starts at the first call (or health_check), stays warm, and is started again after it died.
/// Up to max_parallel executions run at a time, decoded together; a worker's death costs those that
/// ran on it.
///
/// The model file is opened once, in create(): replacing the path later does not change what is
/// loaded. Local workers never get network, whatever the profile says.
class LocalGgufRunner final : public SlmRunner {
 public:
  /// Checks the file (a bounded look at its header, no engine) and the profile; starts nothing.
  [[nodiscard]] static std::expected<std::unique_ptr<LocalGgufRunner>, SlmRunnerError> create(
      const std::filesystem::path& model_file,
      const SandboxProfile& profile,
      const ModelResourceRequirements& requirements,
      LocalGgufOptions options = {});
  ~LocalGgufRunner() override;

  [[nodiscard]] Outcome execute_chat(std::span<const ChatMessage> messages,
                                     const ExecutionOptions& options,
                                     const TokenSink& sink,
                                     std::stop_token stop_token) override;
  [[nodiscard]] const SandboxProfile& get_sandbox_profile() const override;
  [[nodiscard]] const ModelResourceRequirements& get_resource_requirements() const override;
  [[nodiscard]] std::expected<void, SlmRunnerError> health_check() override;
  [[nodiscard]] RunnerInfo get_info() const override;

  /// Process id of the running worker, 0 when there is none. For operators and tests.
  [[nodiscard]] int worker_pid() const;

  struct Impl;  ///< the library's own
  explicit LocalGgufRunner(std::unique_ptr<Impl> impl);

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace symbiont

#endif  // SYMBIONT_LOCAL_GGUF_RUNNER_H_
