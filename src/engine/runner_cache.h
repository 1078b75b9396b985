#ifndef SYMBIONT_ENGINE_RUNNER_CACHE_H_
#define SYMBIONT_ENGINE_RUNNER_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "symbiont/engine.h"

#include "base/mutex.h"

namespace symbiont {

/// Warm runners by model, profile and (unless shared) agent; bounded. Threads: any.
class RunnerCache {
 public:
  RunnerCache(RunnerFactory factory, std::size_t max_runners)
      : factory_(std::move(factory)), max_runners_(max_runners) {}

  /// The runner for a request, made when there is none. `request` isolation always makes one that
  /// is not kept. ResourceLimitExceeded ("runners") when all kept ones are busy.
  [[nodiscard]] std::expected<std::shared_ptr<SlmRunner>, SlmRunnerError> get(
      const RunnerRequest& request);

  /// Forgets the runners whose model or profile is no longer as it was. Those in use end with their
  /// last execution.
  void drop_outdated(const ModelCatalog& catalog);

 private:
  using Key = std::tuple<std::string, std::string, std::string>;  // model, profile, agent
  struct Entry {
    std::shared_ptr<SlmRunner> runner;
    std::uint64_t last_use = 0;
    Model model;
    SandboxProfile profile;
  };
  /// Takes out the least recently used runner that nobody uses; the caller destroys it unlocked.
  [[nodiscard]] std::shared_ptr<SlmRunner> evict_one() SYMBIONT_REQUIRES(mutex_);

  const RunnerFactory factory_;
  const std::size_t max_runners_;
  Mutex mutex_;
  std::map<Key, Entry> entries_ SYMBIONT_GUARDED_BY(mutex_);
  std::uint64_t uses_ SYMBIONT_GUARDED_BY(mutex_) = 0;
};

}  // namespace symbiont

#endif  // SYMBIONT_ENGINE_RUNNER_CACHE_H_
