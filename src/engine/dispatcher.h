#ifndef SYMBIONT_ENGINE_DISPATCHER_H_
#define SYMBIONT_ENGINE_DISPATCHER_H_

// Turns the blocking Engine::run() into executions that are submitted, queue fairly without holding
// a thread, report through callbacks, and can be cancelled by id.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "symbiont/engine.h"

namespace symbiont {

struct DispatcherLimits {
  std::size_t max_running = 64;            ///< executions at once, one thread each
  std::size_t max_running_per_agent = 48;  ///< so that nobody holds every thread
  std::size_t max_queued = 1024;           ///< waiting, of all agents
  std::size_t max_queued_per_agent = 128;
  std::size_t max_queued_bytes = std::size_t{256} << 20U;  ///< of what waits: prompts and schemas
};

/// What becomes of an execution. Called from threads of the dispatcher and of runners, one call at
/// a time for one execution, and never after on_end. They must not block nor call the dispatcher.
struct ExecutionEvents {
  TokenSink on_text;                                    ///< false cancels; null: no streaming
  std::function<void(Engine::Outcome outcome)> on_end;  ///< exactly once
};

/// Why submit() took nothing.
struct Refusal {
  enum class Reason : std::uint8_t { AgentQueueFull, QueueFull, Draining };
  Reason reason = Reason::QueueFull;
  std::chrono::seconds retry_after{1};
};

enum class ExecutionState : std::uint8_t { Queued, Running, Cancelling };
[[nodiscard]] std::string_view to_string(ExecutionState state);

/// One line of the list of executions.
struct ExecutionInfo {
  std::string id;
  std::string agent;
  std::string model_id;
  ExecutionState state = ExecutionState::Queued;
  std::chrono::milliseconds age{0};  ///< since submit()
};

struct DispatcherCounts {
  std::size_t queued = 0;
  std::size_t running = 0;
};

/// Threads: every method may be called from any thread but those of the callbacks.
class Dispatcher {
 public:
  using Run = std::function<Engine::Outcome(
      const EngineRequest& request, const TokenSink& sink, const std::stop_token& stop_token)>;

  /// Tells of an execution that ended before it ran, with `request.queued` set; what it gives back
  /// is what on_end gets. As Engine::end_unrun().
  using EndUnrun =
      std::function<Engine::Outcome(const EngineRequest& request, SlmRunnerError error)>;

  /// Without `end_unrun` only on_end hears of such executions.
  explicit Dispatcher(Run run, DispatcherLimits limits = {}, EndUnrun end_unrun = nullptr);
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;
  /// Cancels what is left and waits for it.
  ~Dispatcher();

  class Execution;
  using Handle = std::shared_ptr<Execution>;

  /// Queues an execution; its options.timeout counts from now. A deadline that passes in the queue
  /// ends it with ExecutionTimeout before it runs.
  [[nodiscard]] std::expected<Handle, Refusal> submit(EngineRequest request,
                                                      ExecutionEvents events);
  /// Ends an execution soon, with Cancelled; false when none has this id.
  bool cancel(std::string_view id);
  /// Queued and running ones, oldest first.
  [[nodiscard]] std::vector<ExecutionInfo> list() const;
  [[nodiscard]] DispatcherCounts counts() const;

  /// From now on submit() refuses.
  void stop_accepting();
  /// Waits until nothing is queued or running, at most `patience`; true when it is so.
  bool wait_idle(std::chrono::milliseconds patience);
  void cancel_all();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// What submit() hands out. Letting go of it does not cancel.
class Dispatcher::Execution {
 public:
  Execution() = default;
  Execution(const Execution&) = delete;
  Execution& operator=(const Execution&) = delete;
  virtual ~Execution() = default;

  [[nodiscard]] virtual const std::string& id() const = 0;
  /// Safe from any thread, also from a callback, while the dispatcher lives; without effect once
  /// the execution has ended.
  virtual void cancel() = 0;
};

/// What an execution is expected to cost, before anything is known but its request.
[[nodiscard]] std::uint64_t estimate_tokens(const EngineRequest& request);

}  // namespace symbiont

#endif  // SYMBIONT_ENGINE_DISPATCHER_H_
