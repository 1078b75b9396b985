#include "engine/dispatcher.h"

#include <algorithm>
#include <utility>

#include "base/result.h"
#include "engine/dispatcher_impl.h"
#include "runners/random.h"

namespace symbiont {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// What Engine::run() needs is far below; pages that are not touched cost nothing.
constexpr std::size_t kStackBytes = std::size_t{512} << 10U;
constexpr std::chrono::seconds kMaxRetryAfter{30};
constexpr std::uint64_t kBytesPerToken = 4;  // an estimate for fairness, never shown to anybody

/// Starts a thread with a small stack. std::thread cannot say how large one is.
Result<pthread_t> start_thread(void* (*entry)(void*), void* argument) {
  pthread_attr_t attributes{};
  if (const int error = ::pthread_attr_init(&attributes); error != 0) {
    return fail(errno_error("thread attributes", error));
  }
  (void)::pthread_attr_setstacksize(&attributes, kStackBytes);  // only fails below 16 KiB
  pthread_t thread{};
  const int error = ::pthread_create(&thread, &attributes, entry, argument);
  (void)::pthread_attr_destroy(&attributes);  // cannot fail
  if (error != 0) return fail(errno_error("start a thread", error));
  return thread;
}

}  // namespace

void Dispatcher::Impl::Task::cancel() {
  if (!stop.request_stop()) return;
  cancel_queued(shared_from_this());
}

Dispatcher::Dispatcher(Run run, DispatcherLimits limits, EndUnrun end_unrun)
    : impl_(std::make_unique<Impl>(std::move(run), limits, std::move(end_unrun))) {}

Dispatcher::~Dispatcher() {
  stop_accepting();
  cancel_all();
  std::vector<pthread_t> threads;
  {
    const MutexLock lock(impl_->mutex);
    impl_->stopping = true;
    while (!impl_->is_idle())
      impl_->nothing_left.wait(impl_->mutex);
    threads.swap(impl_->threads);
    impl_->work_there.notify_all();
    impl_->keeper_wake.notify_all();
  }
  for (const pthread_t thread : threads)
    (void)::pthread_join(thread, nullptr);  // only fails for threads that are not ours
}

std::size_t Dispatcher::Impl::bytes_of(const EngineRequest& request) {
  std::size_t bytes =
      request.prompt.size() + request.options.json_schema.size() + request.options.grammar.size();
  for (const ChatMessage& message : request.messages)
    bytes += sizeof(ChatMessage) + message.content.size();
  return bytes;
}

std::optional<Refusal> Dispatcher::Impl::refusal(const EngineRequest& request) const {
  const std::string& agent = request.agent;
  using Reason = Refusal::Reason;
  if (!accepting) return Refusal{Reason::Draining, kMaxRetryAfter};
  const auto wait = std::chrono::seconds(1 + queue.size() / std::max<std::size_t>(running, 1));
  const auto retry_after = std::min<std::chrono::seconds>(wait, kMaxRetryAfter);
  if (queue.size_of(agent) >= limits.max_queued_per_agent) {
    return Refusal{Reason::AgentQueueFull, retry_after};
  }
  const bool is_full = queue.size() >= limits.max_queued ||
                       queued_bytes + bytes_of(request) > limits.max_queued_bytes;
  if (is_full) return Refusal{Reason::QueueFull, retry_after};
  return std::nullopt;
}

void Dispatcher::Impl::ensure_threads() {
  if (threads.empty()) {
    auto keeper = start_thread(&Impl::keep_entry, this);
    SYMBIONT_CHECK(keeper.has_value(), "the dispatcher's first thread starts");
    threads.push_back(*keeper);
  }
  const std::size_t workers = threads.size() - 1;
  if (idle_threads >= queue.size() || workers >= limits.max_running) return;
  auto worker = start_thread(&Impl::work_entry, this);
  // Without a new thread the ones that exist take longer; the first one has to start.
  const bool can_go_on = worker.has_value() || workers > 0;
  SYMBIONT_CHECK(can_go_on, "a thread for executions starts");
  if (worker.has_value()) threads.push_back(*worker);
}

std::expected<Dispatcher::Handle, Refusal> Dispatcher::submit(EngineRequest request,
                                                              ExecutionEvents events) {
  auto task = std::make_shared<Impl::Task>();
  if (request.execution_id.empty()) request.execution_id = new_execution_id();
  task->submitted = Clock::now();
  task->deadline = task->submitted + request.options.timeout;
  task->request = std::move(request);
  task->events = std::move(events);
  task->cancel_queued = [impl = impl_.get()](const Impl::TaskPtr& t) { impl->cancel(t); };
  const std::string& agent = task->request.agent;

  const MutexLock lock(impl_->mutex);
  if (auto refused = impl_->refusal(task->request); refused.has_value()) {
    return std::unexpected(*refused);
  }
  impl_->queue.push(agent, estimate_tokens(task->request), task);
  impl_->queued_bytes += Impl::bytes_of(task->request);
  impl_->deadlines.emplace(task->deadline, task);
  impl_->tasks.emplace(task->id(), task);
  impl_->ensure_threads();
  impl_->work_there.notify_one();
  if (impl_->deadlines.begin()->second == task) impl_->keeper_wake.notify_one();
  return task;
}

bool Dispatcher::cancel(std::string_view id) {
  Impl::TaskPtr task;
  {
    const MutexLock lock(impl_->mutex);
    const auto found = impl_->tasks.find(id);
    if (found == impl_->tasks.end()) return false;
    task = found->second;
  }
  task->cancel();
  return true;
}

std::vector<ExecutionInfo> Dispatcher::list() const {
  std::vector<ExecutionInfo> infos;
  {
    const MutexLock lock(impl_->mutex);
    infos.reserve(impl_->tasks.size());
    for (const auto& [id, task] : impl_->tasks) {
      infos.push_back(
          {id, task->request.agent, task->request.model_id, task->state, since(task->submitted)});
    }
  }
  std::ranges::sort(infos, std::ranges::greater{}, &ExecutionInfo::age);
  return infos;
}

DispatcherCounts Dispatcher::counts() const {
  const MutexLock lock(impl_->mutex);
  return {impl_->queue.size(), impl_->running};
}

void Dispatcher::stop_accepting() {
  const MutexLock lock(impl_->mutex);
  impl_->accepting = false;
}

bool Dispatcher::wait_idle(milliseconds patience) {
  const Clock::time_point until = Clock::now() + patience;
  const MutexLock lock(impl_->mutex);
  while (!impl_->is_idle()) {
    if (impl_->nothing_left.wait_until(impl_->mutex, until) == std::cv_status::timeout) {
      return impl_->is_idle();
    }
  }
  return true;
}

void Dispatcher::cancel_all() {
  std::vector<Impl::TaskPtr> all;
  {
    const MutexLock lock(impl_->mutex);
    for (const auto& [id, task] : impl_->tasks)
      all.push_back(task);
  }
  for (const Impl::TaskPtr& task : all)
    task->cancel();
}

std::string_view to_string(ExecutionState state) {
  switch (state) {
    case ExecutionState::Queued:
      return "queued";
    case ExecutionState::Running:
      return "running";
    case ExecutionState::Cancelling:
      return "cancelling";
  }
  return "unknown";
}

std::uint64_t estimate_tokens(const EngineRequest& request) {
  std::uint64_t bytes = request.prompt.size() + request.options.system_prompt.size();
  for (const ChatMessage& message : request.messages)
    bytes += message.content.size();
  return bytes / kBytesPerToken + request.options.max_tokens;
}

}  // namespace symbiont
