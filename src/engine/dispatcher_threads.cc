// What the dispatcher's threads do: execute, and end what never ran.

#include <algorithm>
#include <utility>

#include "engine/dispatcher_impl.h"

namespace symbiont {
namespace {

using std::chrono::milliseconds;

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

}  // namespace

Dispatcher::Impl::Impl(Run run_in, DispatcherLimits limits_in, EndUnrun end_unrun_in)
    : run(std::move(run_in)),
      end_unrun(end_unrun_in != nullptr ? std::move(end_unrun_in) : ended),
      limits(limits_in) {}

Dispatcher::Impl::TaskPtr Dispatcher::Impl::take_next() {
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

Dispatcher::Impl::TaskPtr Dispatcher::Impl::wait_never_run(bool& is_late) {
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

}  // namespace symbiont
