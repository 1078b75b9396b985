#ifndef SYMBIONT_ENGINE_SPARES_H_
#define SYMBIONT_ENGINE_SPARES_H_

#include <cstddef>
#include <deque>
#include <stop_token>
#include <thread>

#include "symbiont/engine.h"

#include "base/mutex.h"
#include "engine/runner_cache.h"

namespace symbiont {

/// Starts workers ahead for models with isolation `request`, so that a fresh one for each execution
/// costs nothing where executions do not come in crowds: one a model and profile, loaded and warmed
/// up by a thread of its own, that has seen no prompt. It takes nobody's place in the memory
/// budget, and goes when it is not used, as any idle runner does. Threads: any.
class Spares {
 public:
  static constexpr std::size_t kMaxWanted = 64;  ///< the latest wish is dropped

  /// `runners` outlives it.
  explicit Spares(RunnerCache& runners);
  Spares(const Spares&) = delete;
  Spares& operator=(const Spares&) = delete;
  ~Spares();  ///< ends what is being started

  /// Asks for a spare for further requests like this one; returns at once.
  void want(const RunnerRequest& request);

 private:
  /// A request that outlives the call.
  struct Wanted {
    Model model;
    SandboxProfile profile;
    bool strict = true;
    std::size_t max_parallel = 1;
  };
  void loop(const std::stop_token& stop_token);
  void make(const Wanted& wanted, const std::stop_token& stop_token);

  RunnerCache& runners_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<Wanted> wanted_ SYMBIONT_GUARDED_BY(mutex_);
  std::jthread thread_;  // last: ends first
};

}  // namespace symbiont

#endif  // SYMBIONT_ENGINE_SPARES_H_
