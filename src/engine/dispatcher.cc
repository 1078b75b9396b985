#include "engine/dispatcher.h"

#include <pthread.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/mutex.h"
#include "base/result.h"
#include "engine/fair_queue.h"
#include "runners/random.h"

namespace symbiont {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// What Engine::run() needs is far below; pages that are not touched cost nothing.
constexpr std::size_t kStackBytes = std::size_t{512} << 10U;
constexpr std::chrono::seconds kMaxRetryAfter{30};
constexpr std::uint64_t kBytesPerToken = 4;  // an estimate for fairness, never shown to anybody

struct Task;
using TaskPtr = std::shared_ptr<Task>;

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

SlmRunnerError unrun_error(bool is_late, milliseconds limit) {
  using namespace runner_error;  // NOLINT(google-build-using-namespace): two of its kinds
  SlmRunnerError error =
      is_late ? SlmRunnerError(ExecutionTimeout{limit}) : SlmRunnerError(Cancelled{});
  ExecutionMetadata metadata;
  metadata.finish_reason = is_late ? "timeout" : "cancelled";
  error.set_context({}, std::move(metadata));
  return error;
}

/// What on_end hears where nobody else is told.
Engine::Outcome ended(const EngineRequest& request, SlmRunnerError error) {
  ExecutionMetadata metadata = error.metadata();
  metadata.execution_id = request.execution_id;
  metadata.model_id = request.model_id;
  metadata.agent = request.agent;
  metadata.timing.queue_ms = static_cast<double>(request.queued.count());
  metadata.timing.total_ms = metadata.timing.queue_ms;
  error.set_context({}, std::move(metadata));
  return std::unexpected(EngineError(std::move(error)));
}

milliseconds since(Clock::time_point start) {
  return std::chrono::duration_cast<milliseconds>(Clock::now() - start);
}

}  // namespace

struct Dispatcher::Impl {
  Impl(Run run_in, DispatcherLimits limits_in, EndUnrun end_unrun_in)
      : run(std::move(run_in)),
        end_unrun(end_unrun_in != nullptr ? std::move(end_unrun_in) : ended),
        limits(limits_in) {}

  static void* work_entry(void* self) {
    static_cast<Impl*>(self)->work();
    return nullptr;
  }
  static void* keep_entry(void* self) {
    static_cast<Impl*>(self)->keep();
    return nullptr;
  }
  void work();
  void keep();
  void execute(const TaskPtr& task);
  void cancel(const TaskPtr& task);
  [[nodiscard]] std::optional<Refusal> refusal(const EngineRequest& request) const
      SYMBIONT_REQUIRES(mutex);
  void ensure_threads() SYMBIONT_REQUIRES(mutex);
  [[nodiscard]] TaskPtr take_next() SYMBIONT_REQUIRES(mutex);
  /// Takes a task out of the queue; its on_end is then the keeper's to call.
  [[nodiscard]] bool unqueue(const TaskPtr& task) SYMBIONT_REQUIRES(mutex);
  /// What a request holds while it waits.
  [[nodiscard]] static std::size_t bytes_of(const EngineRequest& request);
  void leave(const TaskPtr& task) SYMBIONT_REQUIRES(mutex);
  /// The next one that ends without having run: cancelled, or late. Null when it is over.
  [[nodiscard]] TaskPtr wait_never_run(bool& is_late);
  void finish_end() SYMBIONT_REQUIRES(mutex);
  [[nodiscard]] bool is_idle() const SYMBIONT_REQUIRES(mutex) {
    return tasks.empty() && ending == 0;
  }

  const Run run;
  const EndUnrun end_unrun;
  const DispatcherLimits limits;
  mutable Mutex mutex;
  CondVar work_there;
  CondVar keeper_wake;
  CondVar nothing_left;
  FairQueue<TaskPtr> queue SYMBIONT_GUARDED_BY(mutex);
  std::size_t queued_bytes SYMBIONT_GUARDED_BY(mutex) = 0;
  std::set<std::pair<Clock::time_point, TaskPtr>> deadlines SYMBIONT_GUARDED_BY(mutex);  // queued
  std::deque<TaskPtr> cancelled SYMBIONT_GUARDED_BY(mutex);                      // before they ran
  std::map<std::string, TaskPtr, std::less<>> tasks SYMBIONT_GUARDED_BY(mutex);  // all, by id
  std::map<std::string, std::size_t> running_of SYMBIONT_GUARDED_BY(mutex);      // by agent
  std::size_t running SYMBIONT_GUARDED_BY(mutex) = 0;
  std::size_t ending SYMBIONT_GUARDED_BY(mutex) = 0;  // on_end is being called
  std::size_t idle_threads SYMBIONT_GUARDED_BY(mutex) = 0;
  std::vector<pthread_t> threads SYMBIONT_GUARDED_BY(mutex);  // the first one is the keeper
  bool accepting SYMBIONT_GUARDED_BY(mutex) = true;
  bool stopping SYMBIONT_GUARDED_BY(mutex) = false;
};

namespace {

struct Task final : Dispatcher::Execution, std::enable_shared_from_this<Task> {
  [[nodiscard]] const std::string& id() const override { return request.execution_id; }
  void cancel() override;

  EngineRequest request;
  ExecutionEvents events;
  Clock::time_point submitted;
  Clock::time_point deadline;
  std::stop_source stop;
  std::function<void(const TaskPtr&)> cancel_queued;
  ExecutionState state = ExecutionState::Queued;  // guarded by the dispatcher's mutex
};

void Task::cancel() {
  if (!stop.request_stop()) return;
  cancel_queued(shared_from_this());
}

}  // namespace

// --- The threads --------------------------------------------------------------------------------

TaskPtr Dispatcher::Impl::take_next() {
  if (running >= limits.max_running) return nullptr;
  const auto may_run = [this](const std::string& agent) SYMBIONT_REQUIRES(mutex) {
    const auto found = running_of.find(agent);
    return found == running_of.end() || found->second < limits.max_running_per_agent;
  };
  std::optional<TaskPtr> next = queue.pop(may_run);
  if (!next.has_value()) return nullptr;
  TaskPtr task = *std::move(next);
  queued_bytes -= bytes_of(task->request);
  deadlines.erase({task->deadline, task});
  task->state = ExecutionState::Running;
  ++running;
  ++running_of[task->request.agent];
  return task;
}

void Dispatcher::Impl::leave(const TaskPtr& task) {
  tasks.erase(task->id());
  --running;
  const auto found = running_of.find(task->request.agent);
  if (--found->second == 0) running_of.erase(found);
}

void Dispatcher::Impl::work() {
  while (true) {
    TaskPtr task;
    {
      const MutexLock lock(mutex);
      while ((task = take_next()) == nullptr) {
        if (stopping) return;
        ++idle_threads;
        work_there.wait(mutex);
        --idle_threads;
      }
    }
    execute(task);
    const MutexLock lock(mutex);
    finish_end();
  }
}

void Dispatcher::Impl::execute(const TaskPtr& task) {
  EngineRequest& request = task->request;
  const milliseconds limit = request.options.timeout;
  request.queued = since(task->submitted);
  request.options.timeout = std::max(
      milliseconds(1), std::chrono::duration_cast<milliseconds>(task->deadline - Clock::now()));
  request.options.sink_on_any_thread = true;  // as ExecutionEvents demands
  Engine::Outcome outcome = run(request, task->events.on_text, task->stop.get_token());
  if (!outcome.has_value()) {
    auto* error = std::get_if<SlmRunnerError>(&outcome.error());
    if (error != nullptr && error->get_if<runner_error::ExecutionTimeout>() != nullptr) {
      SlmRunnerError whole(runner_error::ExecutionTimeout{limit});  // not what the queue left of it
      whole.set_context(error->partial_response(), error->metadata());
      *error = std::move(whole);
    }
  }
  {
    const MutexLock lock(mutex);
    leave(task);
    ++ending;
    // The end may let another execution of the same agent run, which this thread takes itself, or
    // one that waits for any slot.
    work_there.notify_one();
  }
  task->events.on_end(std::move(outcome));
  task->events = {};
}

TaskPtr Dispatcher::Impl::wait_never_run(bool& is_late) {
  const MutexLock lock(mutex);
  while (cancelled.empty() && (deadlines.empty() || deadlines.begin()->first > Clock::now())) {
    if (stopping && tasks.empty()) return nullptr;
    if (deadlines.empty()) {
      keeper_wake.wait(mutex);
    } else {
      const Clock::time_point until = deadlines.begin()->first;  // a copy: the entry may go away
      keeper_wake.wait_until(mutex, until);
    }
  }
  is_late = cancelled.empty();
  TaskPtr task = is_late ? deadlines.begin()->second : cancelled.front();
  if (is_late) {
    (void)unqueue(task);  // it is there: deadlines holds queued ones only
  } else {
    cancelled.pop_front();
  }
  tasks.erase(task->id());
  ++ending;
  return task;
}

void Dispatcher::Impl::keep() {
  bool is_late = false;
  while (const TaskPtr task = wait_never_run(is_late)) {
    task->request.queued = since(task->submitted);
    SlmRunnerError error = unrun_error(is_late, task->request.options.timeout);
    task->events.on_end(end_unrun(task->request, std::move(error)));
    task->events = {};
    const MutexLock lock(mutex);
    finish_end();
  }
}

void Dispatcher::Impl::finish_end() {
  --ending;
  if (is_idle()) nothing_left.notify_all();
}

bool Dispatcher::Impl::unqueue(const TaskPtr& task) {
  deadlines.erase({task->deadline, task});
  if (!queue.remove(task->request.agent, task)) return false;
  queued_bytes -= bytes_of(task->request);
  return true;
}

void Dispatcher::Impl::cancel(const TaskPtr& task) {
  const MutexLock lock(mutex);
  if (task->state == ExecutionState::Queued && unqueue(task)) {
    cancelled.push_back(task);
    keeper_wake.notify_one();
  }
  task->state = ExecutionState::Cancelling;
}

// --- The calls ----------------------------------------------------------------------------------

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
  auto task = std::make_shared<Task>();
  if (request.execution_id.empty()) request.execution_id = new_execution_id();
  task->submitted = Clock::now();
  task->deadline = task->submitted + request.options.timeout;
  task->request = std::move(request);
  task->events = std::move(events);
  task->cancel_queued = [impl = impl_.get()](const TaskPtr& t) { impl->cancel(t); };
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
  TaskPtr task;
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
  std::vector<TaskPtr> all;
  {
    const MutexLock lock(impl_->mutex);
    for (const auto& [id, task] : impl_->tasks)
      all.push_back(task);
  }
  for (const TaskPtr& task : all)
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
