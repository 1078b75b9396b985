#ifndef SYMBIONT_ENGINE_DISPATCHER_IMPL_H_
#define SYMBIONT_ENGINE_DISPATCHER_IMPL_H_

#include <pthread.h>

#include <chrono>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "engine/dispatcher.h"
#include "engine/fair_queue.h"

namespace symbiont {

struct Dispatcher::Impl {
  using Clock = std::chrono::steady_clock;
  struct Task;
  using TaskPtr = std::shared_ptr<Task>;

  Impl(Run run_in, DispatcherLimits limits_in, EndUnrun end_unrun_in);

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

struct Dispatcher::Impl::Task final : Execution, std::enable_shared_from_this<Task> {
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

[[nodiscard]] inline std::chrono::milliseconds since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               start);
}

}  // namespace symbiont

#endif  // SYMBIONT_ENGINE_DISPATCHER_IMPL_H_
