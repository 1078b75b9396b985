// The library's side of the launcher: one child program, one socket, one thread that reads its
// replies.

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <map>
#include <memory>
#include <thread>

#include "base/file.h"
#include "base/mutex.h"
#include "sandbox/launcher_connection.h"
#include "sandbox/proof.h"
#include "sandbox/sandbox.h"
#include "sandbox/seccomp_filter.h"

namespace symbiont::sandbox {
namespace {

using std::chrono::steady_clock;

/// What ended a process, from the launcher's figures and from who asked for a kill.
Verdict make_verdict(const ReplyMessage& ended,
                     std::optional<VerdictKind> killed_for,
                     std::chrono::milliseconds elapsed) {
  Verdict verdict;
  verdict.elapsed = elapsed;
  verdict.limit_bytes = ended.memory_limit;
  verdict.peak_bytes = ended.peak_memory_bytes;
  const int status = ended.wait_status;
  if (ended.out_of_memory) {
    verdict.kind = VerdictKind::MemoryLimit;
  } else if (ended.reported && WIFEXITED(status)) {
    verdict.kind = VerdictKind::Exited;
    verdict.exit_code = WEXITSTATUS(status);
  } else if (ended.reported && WTERMSIG(status) == SIGSYS) {
    verdict.kind = VerdictKind::SyscallDenied;
    verdict.signal = SIGSYS;
  } else if (ended.reported && WTERMSIG(status) == SIGXCPU) {
    verdict.kind = VerdictKind::CpuTimeLimit;
    verdict.signal = SIGXCPU;
  } else if (ended.reported && WTERMSIG(status) == SIGXFSZ) {
    verdict.kind = VerdictKind::FileSizeLimit;
    verdict.signal = SIGXFSZ;
  } else if (killed_for) {
    verdict.kind = *killed_for;
    verdict.signal = SIGKILL;
  } else {
    verdict.kind = VerdictKind::Signaled;
    verdict.signal = ended.reported ? WTERMSIG(status) : SIGKILL;
  }
  return verdict;
}

class Process final : public SandboxedProcess {
 public:
  Process(std::shared_ptr<LauncherConnection> connection,
          std::uint64_t id,
          ReplyMessage started,
          ProofExpectation expectation)
      : connection_(std::move(connection)),
        id_(id),
        started_(std::move(started)),
        expectation_(std::move(expectation)) {}

  ~Process() override {
    kill(VerdictKind::Killed);
    (void)connection_->wait_ended(id_, steady_clock::now() + std::chrono::seconds(5));
    connection_->forget(id_);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] int pid() const override { return started_.pid; }
  [[nodiscard]] const ControlReport& controls() const override { return started_.controls; }

  [[nodiscard]] Status prove() const override {
    SYMBIONT_TRY(const auto items, collect_proof(expectation_));
    return check_proof(items);
  }

  void kill(VerdictKind reason) override {
    {
      const MutexLock lock(mutex_);
      if (!killed_for_) killed_for_ = reason;
    }
    connection_->send_kill(id_);
  }

  [[nodiscard]] std::optional<Verdict> wait_until(steady_clock::time_point deadline) override {
    const std::optional<ReplyMessage> ended = connection_->wait_ended(id_, deadline);
    if (!ended) return std::nullopt;
    const MutexLock lock(mutex_);
    return make_verdict(
        *ended, killed_for_,
        std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - begin_));
  }

  [[nodiscard]] Usage usage() override {
    const ReplyMessage reply = connection_->usage(id_);
    return {reply.peak_memory_bytes, reply.cpu_time_us, reply.throttled_us};
  }

 private:
  const std::shared_ptr<LauncherConnection> connection_;
  const std::uint64_t id_;
  const ReplyMessage started_;
  const ProofExpectation expectation_;
  const steady_clock::time_point begin_ = steady_clock::now();
  Mutex mutex_;
  std::optional<VerdictKind> killed_for_ SYMBIONT_GUARDED_BY(mutex_);
};

ProofExpectation expectation_for(const Policy& policy, const ReplyMessage& started) {
  ProofExpectation expectation;
  expectation.pid = started.pid;
  expectation.own_identity = started.privileged;
  expectation.read_only_root = policy.scratch_bytes == 0;
  expectation.scratch_bytes = policy.scratch_bytes;
  expectation.memory_cgroup = started.cgroup;
  expectation.undumpable = policy.undumpable;
  return expectation;
}

Error start_error(const ReplyMessage& failed) {
  std::string missing;
  for (const auto& [name, control] : failed.controls) {
    if (control.state == ControlState::Enforced) continue;
    missing += "\n  " + name + ": " + control.detail +
               (control.remedy.empty() ? "" : " (" + control.remedy + ")");
  }
  if (!missing.empty()) {
    return {ErrorCode::FailedPrecondition,
            "this host cannot enforce every control of the profile:" + missing};
  }
  const std::string step = "start a confined process: " + failed.step;
  return failed.sys_errno == 0 ? Error(ErrorCode::Internal, step)
                               : errno_error(step, failed.sys_errno);
}

class RealLauncher final : public Launcher {
 public:
  explicit RealLauncher(std::filesystem::path program) : program_(std::move(program)) {}

  [[nodiscard]] Result<std::unique_ptr<SandboxedProcess>> spawn(const Policy& policy,
                                                                UniqueFd control) override {
    for (const auto& name : policy.allowed_syscalls) {
      SYMBIONT_TRY([[maybe_unused]] const int number, syscall_number(name));
    }
    SYMBIONT_TRY(const UniqueFd program, open_regular_file(policy.program));
    SYMBIONT_TRY(const auto connection, connected());
    SYMBIONT_TRY(const auto started, connection->spawn(policy, program.get(), control.get()));
    if (started.second.reply == Reply::Failed) return fail(start_error(started.second));
    return std::make_unique<Process>(connection, started.first, started.second,
                                     expectation_for(policy, started.second));
  }

 private:
  [[nodiscard]] Result<std::shared_ptr<LauncherConnection>> connected() {
    const MutexLock lock(mutex_);
    if (connection_ && connection_->alive()) return connection_;
    std::filesystem::path program = program_;
    if (program.empty()) {
      SYMBIONT_TRY(program, find_program("symbiont-launcher"));
    }
    SYMBIONT_TRY(connection_, LauncherConnection::start(program));
    return connection_;
  }

  const std::filesystem::path program_;
  Mutex mutex_;
  std::shared_ptr<LauncherConnection> connection_ SYMBIONT_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<Launcher> make_launcher(std::filesystem::path launcher_program) {
  return std::make_unique<RealLauncher>(std::move(launcher_program));
}

}  // namespace symbiont::sandbox
