#ifndef SYMBIONT_RUNNERS_FAKE_ENGINE_H_
#define SYMBIONT_RUNNERS_FAKE_ENGINE_H_

// Engines that are threads, for tests of what speaks the engine protocol with them.

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/unique_fd.h"
#include "sandbox/sandbox.h"

namespace symbiont {

/// The engine's side, for scripts: raw lines out, parsed lines in.
class FakeEngine {
 public:
  FakeEngine(UniqueFd in, UniqueFd out, UniqueFd err)
      : in_(std::move(in)), out_(std::move(out)), err_(std::move(err)) {}

  void say(std::string_view text) { write_to(out_.get(), std::string(text) + "\n"); }
  void say_raw(std::string_view text) { write_to(out_.get(), text); }
  void complain(std::string_view text) { write_to(err_.get(), text); }
  void ready() { say(R"({"type":"ready","protocol":1,"name":"fake","version":"1"})"); }
  void token(std::uint64_t id, std::string_view text) {
    say(nlohmann::json({{"type", "token"}, {"id", id}, {"text", text}}).dump());
  }
  void done(std::uint64_t id, std::string_view reason, unsigned tokens = 1) {
    say(nlohmann::json({{"type", "done"},
                        {"id", id},
                        {"finish_reason", reason},
                        {"usage", {{"prompt_tokens", 2}, {"completion_tokens", tokens}}}})
            .dump());
  }
  /// The next line without its newline; nullopt at the end of input.
  std::optional<std::string> line() {
    while (true) {
      const std::size_t end = buffer_.find('\n');
      if (end != std::string::npos) {
        std::string found = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        return found;
      }
      char bytes[4096];
      const ssize_t count = ::read(in_.get(), bytes, sizeof(bytes));
      if (count <= 0) return std::nullopt;
      buffer_.append(bytes, static_cast<std::size_t>(count));
    }
  }
  /// The next message of `type`; null at the end of input.
  nlohmann::json next(std::string_view type) {
    while (const auto text = line()) {
      nlohmann::json message = nlohmann::json::parse(*text, nullptr, false);
      if (message["type"] == type) return message;
    }
    return nullptr;
  }

 private:
  static void write_to(int fd, std::string_view text) {
    while (!text.empty()) {
      const ssize_t count = ::write(fd, text.data(), text.size());
      if (count <= 0) return;
      text.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  UniqueFd in_;
  UniqueFd out_;
  UniqueFd err_;
  std::string buffer_;
};

using EngineScript = std::function<Verdict(FakeEngine&)>;

inline int copy_of(int fd) {
  return ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/// A "process" that is a thread. It ends when its script does, which a kill makes it do by the end
/// of its input.
class FakeEngineProcess final : public sandbox::SandboxedProcess {
 public:
  FakeEngineProcess(const FakeEngineProcess&) = delete;
  FakeEngineProcess& operator=(const FakeEngineProcess&) = delete;
  using MemoryLimits = std::shared_ptr<std::vector<std::uint64_t>>;
  FakeEngineProcess(int pid,
                    const sandbox::Attached& attached,
                    const EngineScript& script,
                    MemoryLimits memory_limits)
      : pid_(pid), input_(copy_of(attached.in)), memory_limits_(std::move(memory_limits)) {
    auto engine = std::make_unique<FakeEngine>(UniqueFd(copy_of(attached.in)),
                                               UniqueFd(copy_of(attached.out)),
                                               UniqueFd(copy_of(attached.err)));
    thread_ = std::jthread([this, script, engine = std::move(engine)]() mutable {
      const Verdict verdict = script(*engine);
      end(verdict);
      engine.reset();
    });
  }
  ~FakeEngineProcess() override { kill(VerdictKind::Killed); }
  int pid() const override { return pid_; }
  Status prove() const override { return {}; }
  Result<std::vector<ProofItem>> proof() const override { return std::vector<ProofItem>(); }
  void kill(VerdictKind reason) override { end({.kind = reason}); }
  void signal(int signal, std::optional<VerdictKind> /*reason*/) override {
    end({.kind = VerdictKind::Signaled, .signal = signal});
  }
  UniqueFd take_relay() override { return {}; }
  sandbox::DenialSummary denials() override { return {}; }
  std::optional<Verdict> wait_until(std::chrono::steady_clock::time_point deadline) override {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, deadline, [this] { return verdict_.has_value(); });
    return verdict_;
  }
  Status limit_memory(std::uint64_t bytes) override {
    memory_limits_->push_back(bytes);
    return {};
  }
  sandbox::Usage usage() override { return {.peak_memory_bytes = 1000, .cpu_time_us = 5000}; }
  const ControlReport& controls() const override { return controls_; }

 private:
  void end(const Verdict& verdict) {
    const std::lock_guard lock(mutex_);
    if (!verdict_.has_value()) verdict_ = verdict;
    (void)::shutdown(input_.get(), SHUT_RDWR);  // the thread sees it as the end of its input
    changed_.notify_all();
  }
  const int pid_;
  const UniqueFd input_;
  const MemoryLimits memory_limits_;
  const ControlReport controls_ = {{"memory", {ControlState::Enforced, "fake", ""}}};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Verdict> verdict_;
  std::jthread thread_;  // last: joined first
};

class FakeEngineLauncher final : public sandbox::Launcher {
 public:
  explicit FakeEngineLauncher(EngineScript script) : script_(std::move(script)) {}
  Result<std::unique_ptr<sandbox::SandboxedProcess>> spawn(const sandbox::Policy& /*policy*/,
                                                           sandbox::Attached attached) override {
    return std::make_unique<FakeEngineProcess>(++spawned, attached, script_, memory_limits);
  }
  Result<ControlReport> controls(const sandbox::Policy& /*policy*/) override {
    return ControlReport();
  }

  std::atomic<int> spawned = 0;
  /// That were set, in order; for tests whose executions come one after the other.
  const FakeEngineProcess::MemoryLimits memory_limits =
      std::make_shared<std::vector<std::uint64_t>>();

 private:
  const EngineScript script_;
};

}  // namespace symbiont

#endif  // SYMBIONT_RUNNERS_FAKE_ENGINE_H_
