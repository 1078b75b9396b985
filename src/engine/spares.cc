#include "engine/spares.h"

#include <chrono>
#include <optional>
#include <utility>

namespace symbiont {
namespace {

constexpr std::chrono::minutes kLongestStart{2};

}  // namespace

Spares::Spares(RunnerCache& runners)
    : runners_(runners), thread_([this](const std::stop_token& stop_token) { loop(stop_token); }) {}

Spares::~Spares() {
  {
    const MutexLock lock(mutex_);
    thread_.request_stop();
  }
  changed_.notify_all();
}

void Spares::want(const RunnerRequest& request) {
  {
    const MutexLock lock(mutex_);
    if (wanted_.size() >= kMaxWanted) return;
    wanted_.push_back({.model = request.model,
                       .profile = request.profile,
                       .strict = request.strict,
                       .max_parallel = request.max_parallel});
  }
  changed_.notify_one();
}

void Spares::loop(const std::stop_token& stop_token) {
  while (true) {
    Wanted wanted;
    {
      const MutexLock lock(mutex_);
      while (wanted_.empty() && !stop_token.stop_requested())
        changed_.wait(mutex_);
      if (stop_token.stop_requested()) return;
      wanted = std::move(wanted_.front());
      wanted_.pop_front();
    }
    make(wanted, stop_token);
  }
}

void Spares::make(const Wanted& wanted, const std::stop_token& stop_token) {
  const RunnerRequest request{.model = wanted.model,
                              .profile = wanted.profile,
                              .agent = {},
                              .strict = wanted.strict,
                              .on_load_progress = nullptr,
                              .max_parallel = wanted.max_parallel};
  std::optional<RunnerCache::Spare> spare = runners_.begin_spare(request);
  if (!spare.has_value()) return;
  const std::stop_callback ended(stop_token, [&] { spare->abandoned.request_stop(); });
  // Counting a word of ours starts the worker, can be stopped, and measures what it holds.
  ExecutionOptions options;
  options.only_count = true;
  options.timeout = kLongestStart;
  const SlmRunner::Outcome outcome =
      spare->runner->execute(".", options, nullptr, spare->abandoned.get_token());
  // Whatever went wrong meets the next execution as well, which has somebody to tell.
  if (!outcome.has_value()) return;
  runners_.keep_spare(request, *spare, outcome->metadata.resources.peak_memory_bytes);
}

}  // namespace symbiont
