#ifndef SYMBIONT_ENGINE_H_
#define SYMBIONT_ENGINE_H_

#include <chrono>
#include <cstddef>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "symbiont/catalog.h"
#include "symbiont/observer.h"
#include "symbiont/runner.h"
#include "symbiont/sandbox_host.h"

namespace symbiont {

/// One prompt of one agent to one model. `messages`, when not empty, is the conversation and
/// `prompt` must be empty.
struct EngineRequest {
  std::string agent;
  std::string model_id;
  std::optional<std::string> profile;  ///< name of another profile than the model's own
  std::string prompt;
  std::vector<ChatMessage> messages;
  ExecutionOptions options;
  std::string execution_id;             ///< the metadata's; empty: the runner makes one
  std::chrono::milliseconds queued{0};  ///< waited before run(); added to timing.queue_ms
};

/// Why a request came to nothing: refused by the catalogue, or failed in the runner.
using EngineError = std::variant<ModelCatalogError, SlmRunnerError>;

/// One line for people.
[[nodiscard]] std::string message(const EngineError& error);

/// What a runner is made of; all of it outlives the call only as copies.
struct RunnerRequest {
  const Model& model;
  const SandboxProfile& profile;
  std::string_view agent;
  bool strict = true;  ///< refuse to start when a control cannot be enforced
  std::function<void(float fraction)> on_load_progress;  ///< may be null
  std::size_t max_parallel = kDefaultParallel;           ///< see LocalGgufOptions
};
using RunnerFactory =
    std::function<std::expected<std::shared_ptr<SlmRunner>, SlmRunnerError>(const RunnerRequest&)>;

/// Makes a LocalGgufRunner for LocalFile and a ProcessRunner for Process models; other providers
/// are InitializationFailed.
[[nodiscard]] RunnerFactory make_default_runner_factory(std::shared_ptr<SandboxHost> host);

struct EngineOptions {
  RunnerFactory runner_factory;        ///< null: the default one with a SandboxHost of its own
  std::shared_ptr<Observer> observer;  ///< null: nobody looks
  /// Of all workers together, in bytes; 0: no budget. A busy one counts with its profile's memory
  /// limit, an idle one with what it was measured to hold; the least recently used idle ones make
  /// room.
  std::uint64_t memory_budget_bytes = 0;
  std::size_t max_runners = 64;  ///< warm runners kept; the least recently used idle one goes
  std::function<void(float fraction)> on_load_progress;  ///< may be null
  std::size_t max_parallel = kDefaultParallel;  ///< executions that one worker decodes together
  /// After an execution with isolation `request`, starts the next one's worker ahead where the
  /// budget has room for it beside all that is warm.
  bool spare_runners = false;
};

/// The whole pipeline in one call: access check, runner, execution, observer. Runners stay warm,
/// one for each model and profile, and for each agent unless the model says `shared`; `request`
/// gets a fresh one every time. Threads: run() may be called from many at once.
class Engine {
 public:
  explicit Engine(ModelCatalog catalog, EngineOptions options = {});
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  ~Engine();

  using Outcome = std::expected<ExecutionResult, EngineError>;

  /// Blocks until the answer, an error, or options.timeout. `sink` may be null.
  [[nodiscard]] Outcome run(const EngineRequest& request,
                            const TokenSink& sink = nullptr,
                            const std::stop_token& stop_token = {});
  /// What becomes of a request that ended before run(), cancelled or late in a queue: the access
  /// check and the observer's records are those of run(). Gives back `error` with what is known of
  /// the execution in its metadata, or the refusal of the catalogue.
  [[nodiscard]] Outcome end_unrun(const EngineRequest& request, SlmRunnerError error);
  /// The catalogue in use now.
  [[nodiscard]] ModelCatalog catalog() const;

  /// Ends the runners that nobody has used for so long. Returns how many.
  std::size_t unload_idle(std::chrono::milliseconds unused_for);
  /// Takes `catalog` for every run() from now on; those under way keep the old one. Runners of
  /// models and profiles that are unchanged stay warm.
  void reload(ModelCatalog catalog);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace symbiont

#endif  // SYMBIONT_ENGINE_H_
