#include "engine/runner_cache.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "base/result.h"

namespace symbiont {
namespace {

RunnerCache::Key spare_key(const RunnerRequest& request) {
  return {request.model.id, request.profile.name, std::string(), true};
}

std::uint64_t memory_limit(const SandboxProfile& profile) {
  return profile.resources.max_memory_mb << 20U;
}

}  // namespace

std::shared_ptr<SlmRunner> RunnerCache::evict_one(const Key* but) {
  auto oldest = entries_.end();
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (is_busy(entry->second) || (but != nullptr && entry->first == *but)) continue;
    if (oldest == entries_.end() || entry->second.last_use < oldest->second.last_use) {
      oldest = entry;
    }
  }
  if (oldest == entries_.end()) return nullptr;
  std::shared_ptr<SlmRunner> runner = std::move(oldest->second.runner);
  entries_.erase(oldest);
  return runner;
}

RunnerCache::Key RunnerCache::key_of(const RunnerRequest& request) {
  const bool shared = request.model.isolation == Isolation::Shared;
  return {request.model.id, request.profile.name,
          shared ? std::string() : std::string(request.agent), false};
}

std::uint64_t RunnerCache::memory_bytes(const Key* but) {
  std::erase_if(passing_, [](const Passing& passing) { return passing.runner.expired(); });
  std::uint64_t bytes = 0;
  for (const Passing& passing : passing_)
    bytes += passing.memory_bytes;
  for (const auto& [key, entry] : entries_) {
    if (but != nullptr && key == *but) continue;
    const std::uint64_t limit = memory_limit(entry.profile);
    bytes += is_busy(entry) ? limit : std::min(limit, entry.held.value_or(limit));
  }
  return bytes;
}

bool RunnerCache::has_room(const SandboxProfile& profile, const Key* key) {
  if (key == nullptr && entries_.size() >= bounds_.max_runners) return false;
  return bounds_.memory_bytes == 0 ||
         memory_bytes(key) + memory_limit(profile) <= bounds_.memory_bytes;
}

std::expected<RunnerCache::Runners, SlmRunnerError> RunnerCache::make_room(
    const SandboxProfile& profile, const Key* key) {
  using runner_error::ResourceLimitExceeded;
  Runners evicted;
  while (!has_room(profile, key)) {
    evicted.push_back(evict_one(key));
    if (evicted.back() != nullptr || abandon_spare()) continue;
    if (key == nullptr && entries_.size() >= bounds_.max_runners) {
      return std::unexpected(SlmRunnerError(
          ResourceLimitExceeded{"runners", bounds_.max_runners, bounds_.max_runners + 1}));
    }
    return std::unexpected(SlmRunnerError(ResourceLimitExceeded{
        "memory budget", bounds_.memory_bytes, memory_bytes(key) + memory_limit(profile)}));
  }
  return evicted;
}

std::expected<std::shared_ptr<SlmRunner>, SlmRunnerError> RunnerCache::get(
    const RunnerRequest& request) {
  const bool passes = request.model.isolation == Isolation::Request;
  const Key key = passes ? spare_key(request) : key_of(request);
  // Declared first: their workers end after the lock is released.
  Runners evicted;
  std::shared_ptr<SlmRunner> outdated;
  std::shared_ptr<SlmRunner> runner;
  const MutexLock lock(mutex_);
  if (const auto found = entries_.find(key); found != entries_.end()) {
    Entry& entry = found->second;
    const bool same = entry.model == request.model && entry.profile == request.profile;
    if (same && !passes) {
      if (!is_busy(entry)) {
        SYMBIONT_TRY(evicted, make_room(request.profile, &key));
      }
      entry.last_use = clock_();
      return entry.runner;
    }
    (same ? runner : outdated) = std::move(entry.runner);
    entries_.erase(found);
  }
  SYMBIONT_TRY(evicted, make_room(request.profile, nullptr));
  // Making one opens a file and looks at its header; no worker starts.
  if (runner == nullptr) {
    SYMBIONT_TRY(runner, factory_(request));
  }
  if (passes) {
    passing_.push_back({runner, memory_limit(request.profile)});
  } else {
    entries_[key] = {runner, clock_(), request.model, request.profile};
  }
  return runner;
}

std::optional<RunnerCache::Spare> RunnerCache::begin_spare(const RunnerRequest& request) {
  const MutexLock lock(mutex_);
  if (entries_.contains(spare_key(request)) || !has_room(request.profile, nullptr)) return {};
  auto runner = factory_(request);
  if (!runner.has_value()) return {};
  Spare spare{.runner = *std::move(runner), .abandoned = std::stop_source()};
  passing_.push_back({spare.runner, memory_limit(request.profile), spare.abandoned});
  return spare;
}

void RunnerCache::keep_spare(const RunnerRequest& request, Spare spare, std::uint64_t held) {
  const MutexLock lock(mutex_);
  if (spare.abandoned.stop_requested() || entries_.size() >= bounds_.max_runners) return;
  std::erase_if(passing_, [&](const Passing& one) { return one.abandoned == spare.abandoned; });
  Entry& entry = entries_[spare_key(request)];
  entry = {std::move(spare.runner), clock_(), request.model, request.profile};
  if (held > 0) entry.held = held;
}

bool RunnerCache::abandon_spare() {
  const auto starting = std::ranges::find_if(
      passing_, [](const Passing& passing) { return passing.abandoned.stop_possible(); });
  if (starting == passing_.end()) return false;
  starting->abandoned.request_stop();
  passing_.erase(starting);
  return true;
}

void RunnerCache::used(const RunnerRequest& request, const SlmRunner::Outcome& outcome) {
  const ExecutionMetadata& metadata =
      outcome.has_value() ? outcome->metadata : outcome.error().metadata();
  const MutexLock lock(mutex_);
  const auto found = entries_.find(key_of(request));
  if (found == entries_.end()) return;
  found->second.last_use = clock_();
  if (metadata.verdict.kind != VerdictKind::Running) {
    found->second.held.reset();  // it ended; another execution may have started the next one
  } else if (metadata.resources.peak_memory_bytes > 0) {
    // Of executions side by side the last to end says the most, and need not be the last to come
    // here.
    found->second.held =
        std::max(found->second.held.value_or(0), metadata.resources.peak_memory_bytes);
  }
}

std::uint64_t RunnerCache::workers_of(const RunnerRequest& request) const {
  const MutexLock lock(mutex_);
  const auto found = entries_.find(key_of(request));
  return found == entries_.end() ? 0 : found->second.workers;
}

bool RunnerCache::note_worker(const RunnerRequest& request, std::uint64_t before) {
  const MutexLock lock(mutex_);
  const auto found = entries_.find(key_of(request));
  if (found == entries_.end() || found->second.workers != before) return false;
  ++found->second.workers;
  return before > 0;
}

std::size_t RunnerCache::unload_idle(std::chrono::milliseconds unused_for) {
  Runners idle;  // end after the lock is released
  const MutexLock lock(mutex_);
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const bool is_idle = !is_busy(entry->second) && clock_() - entry->second.last_use >= unused_for;
    if (is_idle) idle.push_back(std::move(entry->second.runner));
    entry = is_idle ? entries_.erase(entry) : std::next(entry);
  }
  return idle.size();
}

RunnerCache::Runners RunnerCache::drop_outdated(const ModelCatalog& catalog) {
  Runners dropped;
  const MutexLock lock(mutex_);
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const Model* model = catalog.get_model(entry->second.model.id);
    const SandboxProfile* profile = catalog.find_sandbox_profile(entry->second.profile.name);
    const bool same = model != nullptr && *model == entry->second.model && profile != nullptr &&
                      *profile == entry->second.profile;
    if (!same) dropped.push_back(std::move(entry->second.runner));
    entry = same ? std::next(entry) : entries_.erase(entry);
  }
  return dropped;
}

}  // namespace symbiont
