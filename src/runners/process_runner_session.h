#ifndef SYMBIONT_RUNNERS_PROCESS_RUNNER_SESSION_H_
#define SYMBIONT_RUNNERS_PROCESS_RUNNER_SESSION_H_

// One engine process from its start to its end, in the terms of executions. Whatever the engine
// says is checked; one that breaks the protocol is killed.

#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "symbiont/execution.h"
#include "symbiont/runner_error.h"

#include "runners/idle_memory.h"
#include "runners/process_runner_channel.h"
#include "runners/process_runner_protocol.h"
#include "runners/worker_session.h"

namespace symbiont {

struct EngineSpec {
  std::shared_ptr<SandboxHost> host;
  SandboxProfile profile;
  std::vector<std::string> command;
  bool strict = true;
  std::chrono::milliseconds ready_timeout{30'000};  ///< from the start to "ready"
  std::chrono::milliseconds cancel_grace{2000};     ///< from "cancel" to the kill
  std::chrono::milliseconds end_grace{2000};        ///< from the end of its input to the kill
};

/// Not thread-safe, but for pid().
class EngineSession {
 public:
  using SessionStatus = std::expected<void, SlmRunnerError>;

  /// Starts the engine and waits until it is ready. On error nothing is left running; the error's
  /// metadata has verdict and controls.
  [[nodiscard]] static std::expected<std::unique_ptr<EngineSession>, SlmRunnerError> start(
      const EngineSpec& spec, const Patience& patience);
  ~EngineSession();  ///< ends its input, and kills it when it does not end by that
  EngineSession(const EngineSession&) = delete;
  EngineSession& operator=(const EngineSession&) = delete;

  /// One execution; options and messages were validated. Fills usage, first_token_ms, decode_ms,
  /// finish_reason, resources, verdict and controls of `metadata`, in both outcomes; `response` has
  /// the text so far. After an error, is_alive() says whether another may follow.
  [[nodiscard]] SessionStatus execute(std::span<const ChatMessage> messages,
                                      const ExecutionOptions& options,
                                      const TokenSink& sink,
                                      const Patience& patience,
                                      std::string& response,
                                      ExecutionMetadata& metadata);
  /// False once it ended or was given up. An idle engine has nothing to say.
  [[nodiscard]] bool is_alive();
  [[nodiscard]] int pid() const { return channel_->program().pid(); }
  [[nodiscard]] const engine_protocol::Ready& ready() const { return ready_; }

 private:
  struct Running;  // state of one execution
  explicit EngineSession(const EngineSpec& spec)
      : spec_(spec), idle_memory_([this](std::uint64_t bytes) {
          return channel_->program().limit_memory(bytes);
        }) {}

  [[nodiscard]] SessionStatus wait_until_ready(const Patience& patience);
  /// One event of an execution; true: it is over.
  [[nodiscard]] std::expected<bool, SlmRunnerError> step(Running& running);
  [[nodiscard]] std::expected<bool, SlmRunnerError> on_line(Running& running,
                                                            std::string_view line);
  [[nodiscard]] SessionStatus on_token(Running& running, const engine_protocol::Token& token);
  [[nodiscard]] SessionStatus on_done(Running& running, const engine_protocol::Done& done);
  /// Out of patience: asks it to cancel, or ends it when it was asked before (true).
  [[nodiscard]] std::expected<bool, SlmRunnerError> give_up(Running& running);
  [[nodiscard]] SlmRunnerError broke_protocol(const std::string& what);
  [[nodiscard]] SlmRunnerError died();
  void end(VerdictKind reason);  // kills and takes the report
  void fill(ExecutionMetadata& metadata);

  const EngineSpec spec_;
  IdleMemory idle_memory_;
  std::unique_ptr<EngineChannel> channel_;
  engine_protocol::Ready ready_;
  SandboxReport report_;  // of its end; verdict Running before
  std::uint64_t next_id_ = 1;
  bool is_ready_ = false;
  bool usable_ = false;
};

}  // namespace symbiont

#endif  // SYMBIONT_RUNNERS_PROCESS_RUNNER_SESSION_H_
