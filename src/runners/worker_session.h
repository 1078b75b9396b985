#ifndef SYMBIONT_RUNNERS_WORKER_SESSION_H_
#define SYMBIONT_RUNNERS_WORKER_SESSION_H_

// One confined worker from its start to its end, seen from the parent. Whatever the worker sends is
// checked; a worker that breaks the protocol is killed.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "symbiont/execution.h"
#include "symbiont/runner_error.h"

#include "base/unique_fd.h"
#include "ipc/channel.h"
#include "runners/model_file.h"
#include "runners/worker_frames.h"
#include "sandbox/sandbox.h"

namespace symbiont {

inline constexpr std::size_t kMaxResponseBytes = std::size_t{16} << 20U;
inline constexpr std::size_t kMaxProgressFrames = 100'000;
inline constexpr std::uint32_t kExtraTokenFrames = 16;   ///< beyond max_tokens: held-back text
inline constexpr std::chrono::seconds kLockTimeout{15};  ///< from spawn to Locked
inline constexpr std::chrono::seconds kReapTimeout{5};   ///< from a kill to the verdict

/// When to give up: the caller's deadline and stop request.
struct Patience {
  std::chrono::steady_clock::time_point deadline;
  std::chrono::milliseconds limit{0};  ///< what the deadline was made from, for messages
  std::stop_token stop_token;
};

struct WorkerSpec {
  sandbox::Policy policy;
  std::uint32_t context_tokens = 0;
  std::chrono::milliseconds cancel_grace{2000};  ///< from Cancel to the kill
  std::function<void(float)> on_load_progress;   ///< may be null
};

/// Not thread-safe, but for pid().
class WorkerSession {
 public:
  /// Spawns, proves the confinement, loads the model. The worker holds nothing untrusted before the
  /// proof. On error nothing is left running; the error's metadata has verdict and controls.
  [[nodiscard]] static std::expected<std::unique_ptr<WorkerSession>, SlmRunnerError> start(
      sandbox::Launcher& launcher,
      const WorkerSpec& spec,
      ModelFile& model,
      const Patience& patience);
  ~WorkerSession();
  WorkerSession(const WorkerSession&) = delete;
  WorkerSession& operator=(const WorkerSession&) = delete;

  /// One execution; options and messages were validated. Fills usage, timings (but queue, load and
  /// total), finish_reason, resources, verdict and controls of `metadata`, in both outcomes;
  /// `response` has the text so far. After an error, is_alive() says whether another may follow.
  [[nodiscard]] std::expected<void, SlmRunnerError> execute(std::span<const ChatMessage> messages,
                                                            const ExecutionOptions& options,
                                                            const TokenSink& sink,
                                                            const Patience& patience,
                                                            std::string& response,
                                                            ExecutionMetadata& metadata);
  /// False once it ended or was given up. Looks at the channel: an idle worker has nothing to say.
  [[nodiscard]] bool is_alive();
  [[nodiscard]] int pid() const { return process_->pid(); }
  [[nodiscard]] const WorkerReady& ready() const { return ready_; }

 private:
  struct Running;  // state of one execution
  WorkerSession(WorkerSpec spec, std::string model_path);

  using EventResult = std::expected<WorkerEvent, SlmRunnerError>;
  [[nodiscard]] std::expected<void, SlmRunnerError> lock_and_prove(const Patience& patience);
  [[nodiscard]] std::expected<void, SlmRunnerError> load(ModelFile& model,
                                                         const Patience& patience);
  [[nodiscard]] EventResult next_load_event(const Patience& patience);
  /// Next event; empty when `deadline` passed or a stop was requested (and `watch_stop`).
  [[nodiscard]] std::expected<std::optional<WorkerEvent>, SlmRunnerError> next_event(
      std::chrono::steady_clock::time_point deadline,
      const std::stop_token& stop_token,
      bool watch_stop);
  [[nodiscard]] std::expected<bool, SlmRunnerError> step(Running& running);  // true: it is over
  [[nodiscard]] std::expected<bool, SlmRunnerError> on_token(Running& running,
                                                             const WorkerToken& token);
  [[nodiscard]] std::expected<void, SlmRunnerError> on_done(Running& running,
                                                            const WorkerDone& done);
  [[nodiscard]] SlmRunnerError on_failed(const WorkerFailed& report);
  [[nodiscard]] SlmRunnerError broke_protocol(const std::string& what);
  [[nodiscard]] SlmRunnerError died();
  void end(VerdictKind reason);  // kills and takes the verdict
  void fill(ExecutionMetadata& metadata);

  WorkerSpec spec_;
  std::string model_path_;
  std::unique_ptr<sandbox::SandboxedProcess> process_;
  std::optional<ipc::Channel> channel_;
  UniqueFd wake_;  // eventfd: written when a stop is requested
  WorkerReady ready_;
  Verdict verdict_;  // Running until it ended
  std::string phase_ = "setup";
  std::uint64_t next_id_ = 1;
  bool usable_ = false;
};

}  // namespace symbiont

#endif  // SYMBIONT_RUNNERS_WORKER_SESSION_H_
