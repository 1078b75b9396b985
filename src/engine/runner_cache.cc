#include "engine/runner_cache.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "base/result.h"

namespace symbiont {

std::shared_ptr<SlmRunner> RunnerCache::evict_one() {
  auto oldest = entries_.end();
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->second.runner.use_count() > 1) continue;  // busy
    if (oldest == entries_.end() || entry->second.last_use < oldest->second.last_use) {
      oldest = entry;
    }
  }
  if (oldest == entries_.end()) return nullptr;
  std::shared_ptr<SlmRunner> runner = std::move(oldest->second.runner);
  entries_.erase(oldest);
  return runner;
}

std::expected<std::shared_ptr<SlmRunner>, SlmRunnerError> RunnerCache::get(
    const RunnerRequest& request) {
  if (request.model.isolation == Isolation::Request) return factory_(request);
  const bool shared = request.model.isolation == Isolation::Shared;
  const Key key{request.model.id, request.profile.name,
                shared ? std::string() : std::string(request.agent)};
  // Declared first: their workers end after the lock is released.
  std::shared_ptr<SlmRunner> evicted;
  std::shared_ptr<SlmRunner> outdated;
  const MutexLock lock(mutex_);
  if (const auto found = entries_.find(key); found != entries_.end()) {
    Entry& entry = found->second;
    if (entry.model == request.model && entry.profile == request.profile) {
      entry.last_use = ++uses_;
      return entry.runner;
    }
    outdated = std::move(entry.runner);
    entries_.erase(found);
  }
  if (entries_.size() >= max_runners_) {
    evicted = evict_one();
    if (evicted == nullptr) {
      return std::unexpected(SlmRunnerError(
          runner_error::ResourceLimitExceeded{"runners", max_runners_, max_runners_ + 1}));
    }
  }
  // Making one opens a file and looks at its header; no worker starts.
  SYMBIONT_TRY(std::shared_ptr<SlmRunner> runner, factory_(request));
  entries_[key] = {runner, ++uses_, request.model, request.profile};
  return runner;
}

void RunnerCache::drop_outdated(const ModelCatalog& catalog) {
  std::vector<std::shared_ptr<SlmRunner>> dropped;  // end after the lock is released
  const MutexLock lock(mutex_);
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const Model* model = catalog.get_model(entry->second.model.id);
    const SandboxProfile* profile = catalog.find_sandbox_profile(entry->second.profile.name);
    const bool same = model != nullptr && *model == entry->second.model && profile != nullptr &&
                      *profile == entry->second.profile;
    if (!same) dropped.push_back(std::move(entry->second.runner));
    entry = same ? std::next(entry) : entries_.erase(entry);
  }
}

}  // namespace symbiont
