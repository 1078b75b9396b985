#ifndef SYMBIONT_RUNNERS_FAKE_WORKER_H_
#define SYMBIONT_RUNNERS_FAKE_WORKER_H_

// For tests: a Launcher whose "processes" are threads that speak the worker's frames.

#include <sys/socket.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ipc/channel.h"
#include "ipc/messages.h"
#include "sandbox/sandbox.h"

namespace symbiont::testing {

/// The worker's side, for scripts. Sends ignore a closed channel.
class FakeWorker {
 public:
  explicit FakeWorker(UniqueFd socket) : channel_(std::move(socket)) {}

  [[nodiscard]] ipc::Channel& channel() { return channel_; }
  /// The next Execute; skips Cancels. Empty at the end of the channel.
  std::optional<ipc::ExecuteRequest> next_execute() {
    while (true) {
      const auto frame = channel_.receive(std::nullopt);
      if (!frame.has_value()) return std::nullopt;
      const auto* execute = (*frame)->body_as_Execute();
      if (execute == nullptr) continue;
      const auto request = ipc::read_execute(*execute);
      if (!request.has_value()) return std::nullopt;
      return *request;
    }
  }
  /// Waits for a Cancel; false at the end of the channel.
  bool wait_for_cancel() {
    while (true) {
      const auto frame = channel_.receive(std::nullopt);
      if (!frame.has_value()) return false;
      if ((*frame)->body_as_Cancel() != nullptr) return true;
    }
  }
  void locked() { ipc::encode_locked(builder_), send(); }
  void progress(float fraction) { ipc::encode_progress(builder_, fraction), send(); }
  void ready(std::uint32_t embedding_size = 2) {
    ipc::encode_ready(builder_, {.context_tokens = 4096,
                                 .vocabulary = 10,
                                 .engine = "fake 1",
                                 .has_template = true,
                                 .max_sequences = 1,
                                 .embedding_size = embedding_size});
    send();
  }
  void token(std::uint64_t id,
             std::string_view text,
             std::span<const ipc::Candidate> logprobs = {}) {
    ipc::encode_token(builder_, id, text, logprobs), send();
  }
  void done(std::uint64_t id, ipc::fb::Finish finish, std::uint32_t tokens, std::int8_t stop = -1) {
    ipc::encode_done(builder_, {.id = id,
                                .finish = finish,
                                .prompt_tokens = 7,
                                .completion_tokens = tokens,
                                .cached_tokens = 2,
                                .prefill_us = 1000,
                                .decode_us = 2000,
                                .stop = stop});
    send();
  }
  void embedding(std::uint64_t id, std::uint32_t index, std::span<const float> values) {
    ipc::encode_embedding(builder_, id, index, values), send();
  }
  void failed(const ipc::FailureReport& report) { ipc::encode_failed(builder_, report), send(); }
  /// Locked, takes the model, Ready. Returns the model's descriptor.
  UniqueFd start_up(std::uint32_t embedding_size = 2) {
    locked();
    const auto frame = channel_.receive(std::nullopt, true);
    if (!frame.has_value() || (*frame)->body_as_Load() == nullptr) return UniqueFd();
    UniqueFd model = channel_.take_fd();
    progress(0.5F);
    ready(embedding_size);
    return model;
  }

 private:
  void send() { (void)channel_.send(builder_); }
  ipc::Channel channel_;
  ipc::Builder builder_;
};

/// What a worker does; the verdict is how its process ends when nobody kills it.
using FakeScript = std::function<Verdict(FakeWorker&)>;

class FakeProcess final : public sandbox::SandboxedProcess {
 public:
  FakeProcess(int pid,
              UniqueFd control,
              const FakeScript& script,
              Status proof,
              std::uint64_t peak_memory_bytes)
      : pid_(pid),
        proof_(std::move(proof)),
        peak_memory_bytes_(peak_memory_bytes),
        socket_(::dup(control.get())) {
    thread_ = std::jthread([this, script, fd = control.release()] {
      std::optional<Verdict> verdict;
      {
        FakeWorker worker{UniqueFd(fd)};
        verdict = script(worker);
      }
      end(*verdict);
    });
  }
  ~FakeProcess() override { kill(VerdictKind::Killed); }

  int pid() const override { return pid_; }
  Status prove() const override { return proof_; }
  Result<std::vector<ProofItem>> proof() const override { return std::vector<ProofItem>(); }
  void kill(VerdictKind reason) override { end({.kind = reason}); }
  void signal(int signal, std::optional<VerdictKind>) override {
    end({.kind = VerdictKind::Signaled, .signal = signal});
  }
  UniqueFd take_relay() override { return {}; }
  sandbox::DenialSummary denials() override { return {}; }
  std::optional<Verdict> wait_until(std::chrono::steady_clock::time_point deadline) override {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, deadline, [this] { return verdict_.has_value(); });
    return verdict_;
  }
  sandbox::Usage usage() override {
    return {.peak_memory_bytes = peak_memory_bytes_, .cpu_time_us = 5000, .throttled_us = 1000};
  }
  Status limit_memory(std::uint64_t bytes) override {
    const std::lock_guard lock(mutex_);
    memory_limits_.push_back(bytes);
    return {};
  }
  const ControlReport& controls() const override { return controls_; }

  std::vector<std::uint64_t> memory_limits() {
    const std::lock_guard lock(mutex_);
    return memory_limits_;
  }
  void end(const Verdict& verdict) {
    const std::lock_guard lock(mutex_);
    if (!verdict_.has_value()) verdict_ = verdict;
    ::shutdown(socket_.get(), SHUT_RDWR);  // both ends see it, as when a process dies
    changed_.notify_all();
  }

 private:
  const int pid_;
  const Status proof_;
  const std::uint64_t peak_memory_bytes_;
  const ControlReport controls_ = {{"memory", {ControlState::Enforced, "fake", ""}}};
  UniqueFd socket_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Verdict> verdict_;
  std::vector<std::uint64_t> memory_limits_;
  std::jthread thread_;  // last: joined first
};

class FakeLauncher final : public sandbox::Launcher {
 public:
  explicit FakeLauncher(FakeScript script) : script_(std::move(script)) {}

  Result<std::unique_ptr<sandbox::SandboxedProcess>> spawn(const sandbox::Policy& policy,
                                                           sandbox::Attached attached) override {
    const std::lock_guard lock(mutex_);
    policy_ = policy;
    if (spawn_error.has_value()) return fail(*spawn_error);
    auto process = std::make_unique<FakeProcess>(++spawned_, std::move(attached.control), script_,
                                                 proof, peak_memory_bytes);
    last_ = process.get();
    return process;
  }
  Result<ControlReport> controls(const sandbox::Policy&) override { return control_report; }
  int spawned() {
    const std::lock_guard lock(mutex_);
    return spawned_;
  }
  sandbox::Policy policy() {
    const std::lock_guard lock(mutex_);
    return policy_;
  }
  /// That were set for the last one, in order; it must be alive.
  std::vector<std::uint64_t> last_memory_limits() {
    const std::lock_guard lock(mutex_);
    return last_->memory_limits();
  }
  /// As `kill -9` from outside; the process must be alive.
  void kill_last() {
    const std::lock_guard lock(mutex_);
    last_->end({.kind = VerdictKind::Signaled, .signal = 9});
  }

  Status proof;                            // what prove() says; set before use
  std::uint64_t peak_memory_bytes = 1000;  // set before use
  std::optional<Error> spawn_error;        // set before use
  ControlReport control_report;            // set before use

 private:
  const FakeScript script_;
  std::mutex mutex_;
  int spawned_ = 0;
  sandbox::Policy policy_;
  FakeProcess* last_ = nullptr;
};

/// Answers every prompt with `words`, one a token.
inline FakeScript answering(std::vector<std::string> words) {
  return [words = std::move(words)](FakeWorker& worker) {
    (void)worker.start_up();
    while (const auto request = worker.next_execute()) {
      for (const std::string& word : words)
        worker.token(request->id, word);
      worker.done(request->id, ipc::fb::Finish::Stop, static_cast<std::uint32_t>(words.size()));
    }
    return Verdict{.kind = VerdictKind::Exited};
  };
}

}  // namespace symbiont::testing

#endif  // SYMBIONT_RUNNERS_FAKE_WORKER_H_
