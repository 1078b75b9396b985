#ifndef SYMBIONT_ENGINE_QUARANTINE_H_
#define SYMBIONT_ENGINE_QUARANTINE_H_

#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "symbiont/runner_error.h"

#include "base/mutex.h"
#include "engine/runner_cache.h"

namespace symbiont {

inline constexpr std::size_t kDeathsToQuarantine = 3;
inline constexpr std::chrono::seconds kDeathWindow{60};
inline constexpr std::chrono::minutes kQuarantine{5};
inline constexpr std::size_t kMaxWatched = 10'000;  ///< the oldest are forgotten

/// Sets runners aside whose workers keep dying, so that they do not take the time of others. Each
/// agent's own, unless its model is shared: no agent can take a model from another. Threads: any.
class Quarantine {
 public:
  explicit Quarantine(RunnerCache::Clock clock) : clock_(std::move(clock)) {}

  /// InitializationFailed, with the time left and the last cause, while the runner is set aside.
  [[nodiscard]] std::expected<void, SlmRunnerError> check(const RunnerCache::Key& key);
  /// Counts an execution that cost its worker its life.
  void note(const RunnerCache::Key& key, const SlmRunnerError& error);
  /// Forgets everything: the configuration is another one.
  void clear();

  /// Whether `error` means that a worker was killed or crashed by what it was given. Not when it
  /// was ended from outside or ran out of time.
  [[nodiscard]] static bool is_death(const SlmRunnerError& error);

 private:
  struct Record {
    std::deque<std::chrono::steady_clock::time_point> deaths;  // within the window
    std::optional<std::chrono::steady_clock::time_point> until;
    std::string cause;
  };
  const RunnerCache::Clock clock_;
  Mutex mutex_;
  std::map<RunnerCache::Key, Record> records_ SYMBIONT_GUARDED_BY(mutex_);
};

}  // namespace symbiont

#endif  // SYMBIONT_ENGINE_QUARANTINE_H_
