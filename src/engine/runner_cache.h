#ifndef SYMBIONT_ENGINE_RUNNER_CACHE_H_
#define SYMBIONT_ENGINE_RUNNER_CACHE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <tuple>
#include <vector>

#include "symbiont/engine.h"

#include "base/mutex.h"

namespace symbiont {

/// How many runners may be warm, and how much memory they may take together.
struct RunnerBounds {
  std::size_t max_runners = 64;
  std::uint64_t memory_bytes = 0;  ///< 0: not bounded
};

/// Warm runners by model, profile and (unless shared) agent; bounded. A busy one counts with its
/// profile's memory limit, to which its worker may grow at any time; an idle one with what its
/// worker was measured to hold, to which its runner holds it meanwhile. Does not protect where no
/// control group limits memory: a worker that was taken over can grow there to its own limit.
/// Threads: any.
class RunnerCache {
 public:
  using Clock = std::function<std::chrono::steady_clock::time_point()>;
  RunnerCache(RunnerFactory factory, RunnerBounds bounds, Clock clock)
      : factory_(std::move(factory)), bounds_(bounds), clock_(std::move(clock)) {}

  /// The runner for a request, made when there is none. `request` isolation always gets one that
  /// nobody has used, a spare one or a new one, and that is not kept. ResourceLimitExceeded
  /// ("runners", "memory budget") when what is busy leaves no room. The caller keeps it during its
  /// execution and then says by used() what came of it.
  [[nodiscard]] std::expected<std::shared_ptr<SlmRunner>, SlmRunnerError> get(
      const RunnerRequest& request);
  void used(const RunnerRequest& request, const SlmRunner::Outcome& outcome);
  /// How many workers the kept runner for a request has had; 0 when there is none.
  [[nodiscard]] std::uint64_t workers_of(const RunnerRequest& request) const;
  /// Says that an execution started a worker, when there were `before` of them; of several at once
  /// the first one counts. True when that worker took the place of another.
  bool note_worker(const RunnerRequest& request, std::uint64_t before);
  /// A runner that is being started for a later request.
  struct Spare {
    std::shared_ptr<SlmRunner> runner;
    std::stop_source abandoned;  ///< its room is needed: whoever starts it ends it
  };
  /// A runner to become the spare of requests like this one, unless there is one, or no room beside
  /// what is warm. The caller starts it, and hands it over with the bytes that it holds (0:
  /// unknown).
  [[nodiscard]] std::optional<Spare> begin_spare(const RunnerRequest& request);
  void keep_spare(const RunnerRequest& request, Spare spare, std::uint64_t held);
  /// Ends runners that nobody has used for so long; how many.
  std::size_t unload_idle(std::chrono::milliseconds unused_for);

  /// What tells runners apart: model, profile, agent (empty when shared), whether it is a spare.
  using Key = std::tuple<std::string, std::string, std::string, bool>;
  [[nodiscard]] static Key key_of(const RunnerRequest& request);

  using Runners = std::vector<std::shared_ptr<SlmRunner>>;
  /// Forgets the runners whose model or profile is no longer as it was, for the caller to end,
  /// which takes a while. Those in use end with their last execution.
  [[nodiscard]] Runners drop_outdated(const ModelCatalog& catalog);

 private:
  struct Entry {
    std::shared_ptr<SlmRunner> runner;
    std::chrono::steady_clock::time_point last_use;
    Model model;
    SandboxProfile profile;
    std::uint64_t workers = 0;               ///< that its executions started
    std::optional<std::uint64_t> held = {};  ///< bytes, after its last execution; absent: unknown
  };
  /// One that is not kept, and what its profile allows it.
  struct Passing {
    std::weak_ptr<SlmRunner> runner;
    std::uint64_t memory_bytes = 0;
    std::stop_source abandoned{std::nostopstate};  ///< of a spare that is being started
  };
  /// Takes out idle runners, least recently used first, until one of `profile` can be busy beside
  /// those that are: a new one, or the kept one of `key`, which stays. The caller destroys them
  /// unlocked.
  [[nodiscard]] std::expected<Runners, SlmRunnerError> make_room(const SandboxProfile& profile,
                                                                 const Key* key)
      SYMBIONT_REQUIRES(mutex_);
  [[nodiscard]] std::shared_ptr<SlmRunner> evict_one(const Key* but) SYMBIONT_REQUIRES(mutex_);
  [[nodiscard]] std::uint64_t memory_bytes(const Key* but) SYMBIONT_REQUIRES(mutex_);
  /// Whether one of `profile` can be busy beside all that are kept, but the one of `key`.
  [[nodiscard]] bool has_room(const SandboxProfile& profile, const Key* key)
      SYMBIONT_REQUIRES(mutex_);
  /// Gives up a spare that is being started; false: there is none.
  [[nodiscard]] bool abandon_spare() SYMBIONT_REQUIRES(mutex_);
  [[nodiscard]] static bool is_busy(const Entry& entry) { return entry.runner.use_count() > 1; }

  const RunnerFactory factory_;
  const RunnerBounds bounds_;
  const Clock clock_;
  mutable Mutex mutex_;
  std::map<Key, Entry> entries_ SYMBIONT_GUARDED_BY(mutex_);
  std::vector<Passing> passing_ SYMBIONT_GUARDED_BY(mutex_);
};

}  // namespace symbiont

#endif  // SYMBIONT_ENGINE_RUNNER_CACHE_H_
