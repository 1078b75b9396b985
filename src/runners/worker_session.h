#ifndef SYMBIONT_RUNNERS_WORKER_SESSION_H_
#define SYMBIONT_RUNNERS_WORKER_SESSION_H_

// One confined, loaded worker until its end, shared by many executions. A thread of its own reads
// what the worker sends and hands it to the execution it is for; a worker that breaks the protocol
// is killed, which ends all of them.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>

#include "symbiont/execution.h"
#include "symbiont/runner_error.h"

#include "base/mutex.h"
#include "ipc/channel.h"
#include "ipc/messages.h"
#include "runners/idle_memory.h"
#include "runners/worker_startup.h"

namespace symbiont {

inline constexpr std::size_t kMaxResponseBytes = std::size_t{16} << 20U;
inline constexpr std::size_t kMaxLogprobBytes = std::size_t{64} << 20U;  ///< of one execution
inline constexpr std::uint32_t kExtraTokenFrames = 16;  ///< beyond max_tokens: held-back text

/// Threads: all methods from any.
class WorkerSession {
 public:
  WorkerSession(StartedWorker started, WorkerSpec spec, std::string model_path);
  ~WorkerSession();  ///< no execution may be running; kills the worker
  WorkerSession(const WorkerSession&) = delete;
  WorkerSession& operator=(const WorkerSession&) = delete;

  /// One execution; options and messages were validated. Fills usage, timings (but queue, load and
  /// total), finish_reason, resources, verdict and controls of the result's metadata, in both
  /// outcomes; its response has the text so far. `cache_key`: see ipc::ExecuteRequest. After an
  /// error, is_alive() says whether another may follow.
  [[nodiscard]] std::expected<void, SlmRunnerError> execute(std::span<const ChatMessage> messages,
                                                            const ExecutionOptions& options,
                                                            std::uint64_t cache_key,
                                                            const TokenSink& sink,
                                                            const Patience& patience,
                                                            ExecutionResult& result);
  /// False once it ended or was given up, even if the reader has not got to it yet.
  [[nodiscard]] bool is_alive() const;
  [[nodiscard]] int pid() const { return process_->pid(); }
  [[nodiscard]] const WorkerReady& ready() const { return ready_; }

 private:
  struct Running;  // one execution
  using Outcome = std::expected<void, SlmRunnerError>;

  // The reader.
  void read_frames();
  void dispatch(const WorkerEvent& event);
  /// The execution whose new text the reader itself has to show, which makes it stay meanwhile;
  /// null when its own thread shows it, which is told.
  [[nodiscard]] Running* start_showing(const WorkerEvent& event) SYMBIONT_REQUIRES(mutex_);
  /// Says what is wrong with `event`, if something is. Empty: it was taken.
  [[nodiscard]] std::string take(const WorkerEvent& event) SYMBIONT_REQUIRES(mutex_);
  [[nodiscard]] std::string take_token(const WorkerToken& token) SYMBIONT_REQUIRES(mutex_);
  [[nodiscard]] std::string take_embedding(const WorkerEmbedding& embedding)
      SYMBIONT_REQUIRES(mutex_);
  [[nodiscard]] std::string check_done(const Running& running, const WorkerDone& done) const
      SYMBIONT_REQUIRES(mutex_);

  // Executions.
  [[nodiscard]] Outcome lift_idle_limit(const Running& running);
  [[nodiscard]] Outcome send_execute(const Running& running,
                                     std::span<const ChatMessage> messages,
                                     std::uint64_t cache_key);
  [[nodiscard]] Outcome follow(Running& running);
  [[nodiscard]] bool wait_for_change(Running& running);
  [[nodiscard]] bool is_unwanted(const Running& running);
  void show(Running& running);
  void cancel(Running& running);
  [[nodiscard]] Outcome check_answer_size(const Running& running) const;
  [[nodiscard]] Outcome conclude(Running& running, const WorkerDone& done);
  [[nodiscard]] SlmRunnerError error_of_end(const Running& running);

  /// The end of the worker: kills it for `reason`, or takes note that it died by itself.
  /// `broken_rule`: what it did wrong. Only the first call counts; all executions learn of it.
  void end(std::optional<VerdictKind> reason, std::string broken_rule = {});
  [[nodiscard]] bool send(const ipc::Builder& builder);

  const WorkerSpec spec_;
  const std::string model_path_;
  const std::unique_ptr<sandbox::SandboxedProcess> process_;
  ipc::Channel channel_;  // received by the reader, sent to under send_mutex_
  const WorkerReady ready_;
  IdleMemory idle_memory_;
  UniqueFd stop_reading_;  // eventfd
  std::atomic<bool> usable_ = true;

  Mutex send_mutex_;
  Mutex mutex_;
  std::map<std::uint64_t, Running*> running_ SYMBIONT_GUARDED_BY(mutex_);
  std::uint64_t next_id_ SYMBIONT_GUARDED_BY(mutex_) = 1;
  bool ending_ SYMBIONT_GUARDED_BY(mutex_) = false;
  bool ended_ SYMBIONT_GUARDED_BY(mutex_) = false;  // verdict_ is final
  CondVar end_seen_;
  Verdict verdict_ SYMBIONT_GUARDED_BY(mutex_);  // Running until it ended
  std::string broken_rule_ SYMBIONT_GUARDED_BY(mutex_);
  std::optional<std::uint64_t> ended_for_ SYMBIONT_GUARDED_BY(mutex_);  // the execution's id
  std::jthread reader_;
};

}  // namespace symbiont

#endif  // SYMBIONT_RUNNERS_WORKER_SESSION_H_
