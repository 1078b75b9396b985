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
#include "sandbox/child.h"
#include "sandbox/launcher_connection.h"
#include "sandbox/listed_syscalls.h"
#include "sandbox/proof.h"
#include "sandbox/sandbox.h"

namespace symbiont::sandbox {
namespace {

using std::chrono::steady_clock;

VerdictKind kind_of(Denial::Kind kind) {
  switch (kind) {
    case Denial::Kind::File:
      return VerdictKind::FsDenied;
    case Denial::Kind::Network:
      return VerdictKind::NetDenied;
    case Denial::Kind::Process:
      return VerdictKind::ProcessLimit;
    case Denial::Kind::Syscall:
      return VerdictKind::SyscallDenied;
  }
  return VerdictKind::SyscallDenied;
}

void explain(Verdict& verdict, const Denial& denial) {
  verdict.kind = kind_of(denial.kind);
  if (denial.kind == Denial::Kind::Syscall) {
    verdict.syscall = denial.name;
    verdict.phase = "program";
    return;
  }
  verdict.subject = denial.name;
  verdict.port = denial.port;
  verdict.reason = denial.reason;
}

/// The signals that a limit of ours sends.
std::optional<VerdictKind> limit_of(int signal) {
  switch (signal) {
    case SIGSYS:
      return VerdictKind::SyscallDenied;
    case SIGXCPU:
      return VerdictKind::CpuTimeLimit;
    case SIGXFSZ:
      return VerdictKind::FileSizeLimit;
    default:
      return std::nullopt;
  }
}

/// A program that failed after it was denied something: what it was denied last. A shell tells the
/// signal that ended its last command as 128 + signal.
void explain_failure(Verdict& verdict, const ReplyMessage& ended) {
  constexpr int kShellSignal = 128;
  if (const auto limit = limit_of(verdict.exit_code - kShellSignal)) {
    verdict.kind = *limit;
    return;
  }
  if (ended.newest_denial >= 0 && std::cmp_less(ended.newest_denial, ended.denials.size())) {
    explain(verdict, ended.denials[static_cast<std::size_t>(ended.newest_denial)]);
  } else if (ended.scratch_full) {
    verdict.kind = VerdictKind::DiskLimit;
    verdict.limit_bytes = ended.scratch_bytes;
    verdict.reason = "no space was left for temporary files";
  }
}

/// What ended a process, from the launcher's figures and from who asked for a kill.
Verdict make_verdict(const ReplyMessage& ended,
                     std::optional<VerdictKind> killed_for,
                     std::chrono::milliseconds elapsed) {
  Verdict verdict;
  verdict.elapsed = elapsed;
  verdict.limit_bytes = ended.memory_limit;
  verdict.peak_bytes = ended.peak_memory_bytes;
  const int status = ended.wait_status;
  const bool exited = ended.reported && WIFEXITED(status);
  if (exited) verdict.exit_code = WEXITSTATUS(status);
  if (!exited) verdict.signal = ended.reported ? WTERMSIG(status) : SIGKILL;
  const auto limit = exited ? std::nullopt : limit_of(verdict.signal);
  if (ended.out_of_memory) {
    verdict.kind = VerdictKind::MemoryLimit;
  } else if (!ended.fatal_call.empty()) {
    explain_failure(verdict, ended);
    verdict.signal = SIGSYS;
  } else if (killed_for == VerdictKind::TimeLimit || (killed_for && !exited && !limit)) {
    verdict.kind = *killed_for;
  } else if (limit) {
    verdict.kind = *limit;
  } else {
    verdict.kind = exited ? VerdictKind::Exited : VerdictKind::Signaled;
    if (!exited || verdict.exit_code != 0) explain_failure(verdict, ended);
  }
  return verdict;
}

class Process final : public SandboxedProcess {
 public:
  Process(std::shared_ptr<LauncherConnection> connection,
          LauncherConnection::Started started,
          ProofExpectation expectation)
      : connection_(std::move(connection)),
        id_(started.id),
        started_(std::move(started.reply)),
        expectation_(std::move(expectation)),
        relay_(std::move(started.relay)) {}

  ~Process() override {
    if (!connection_->wait_ended(id_, steady_clock::now())) {
      kill(VerdictKind::Killed);
      (void)connection_->wait_ended(id_, steady_clock::now() + std::chrono::seconds(5));
    }
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

  [[nodiscard]] Result<std::vector<ProofItem>> proof() const override {
    return collect_proof(expectation_);
  }

  void kill(VerdictKind reason) override { signal(SIGKILL, reason); }

  void signal(int signal, std::optional<VerdictKind> reason) override {
    {
      const MutexLock lock(mutex_);
      if (!killed_for_) killed_for_ = reason;
    }
    connection_->send_signal(id_, signal);
  }

  [[nodiscard]] UniqueFd take_relay() override {
    const MutexLock lock(mutex_);
    return std::move(relay_);
  }

  [[nodiscard]] DenialSummary denials() override {
    const auto ended = connection_->wait_ended(id_, steady_clock::now());
    return ended ? DenialSummary{ended->denials, ended->denials_dropped} : DenialSummary{};
  }

  [[nodiscard]] std::optional<Verdict> wait_until(steady_clock::time_point deadline) override {
    const std::optional<ReplyMessage> ended = connection_->wait_ended(id_, deadline);
    if (!ended) return std::nullopt;
    const MutexLock lock(mutex_);
    return make_verdict(
        *ended, killed_for_,
        std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - begin_));
  }

  [[nodiscard]] Status limit_memory(std::uint64_t bytes) override {
    return connection_->limit_memory(id_, bytes);
  }

  [[nodiscard]] Usage usage() override {
    const ReplyMessage reply = connection_->usage(id_);
    return {reply.peak_memory_bytes, reply.cpu_time_us, reply.throttled_us, reply.written_bytes,
            reply.scratch_bytes};
  }

 private:
  const std::shared_ptr<LauncherConnection> connection_;
  const std::uint64_t id_;
  const ReplyMessage started_;
  const ProofExpectation expectation_;
  const steady_clock::time_point begin_ = steady_clock::now();
  Mutex mutex_;
  std::optional<VerdictKind> killed_for_ SYMBIONT_GUARDED_BY(mutex_);
  UniqueFd relay_ SYMBIONT_GUARDED_BY(mutex_);
};

Error start_error(const ReplyMessage& failed) {
  std::string missing;
  for (const auto& [name, control] : failed.controls) {
    if (control.state == ControlState::Enforced || !is_required(name)) continue;
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
                                                                Attached attached) override {
    SYMBIONT_TRY_STATUS(
        check_listed_syscalls(policy.allowed_syscalls, policy.undumpable,
                              policy.root == RootKind::View ? ListOf::Program : ListOf::Worker));
    SYMBIONT_TRY(const UniqueFd program, open_regular_file(policy.program));
    SYMBIONT_TRY(const auto connection, connected());
    std::vector<int> fds = {program.get()};
    std::vector<int> passed = {PlanProgram};
    const int control = attached.control.get();
    for (const auto& [fd, slot] :
         {std::pair(control, PlanControl), std::pair(attached.in, PlanIn),
          std::pair(attached.out, PlanOut), std::pair(attached.err, PlanErr)}) {
      if (fd < 0) continue;
      fds.push_back(fd);
      passed.push_back(slot);
    }
    SYMBIONT_TRY(auto started, connection->spawn(policy, fds, std::move(passed)));
    if (started.reply.reply == Reply::Failed) return fail(start_error(started.reply));
    const ReplyMessage& reply = started.reply;
    ProofExpectation expectation =
        expect_confined(policy, reply.pid, {reply.privileged, reply.namespaces, reply.cgroup});
    return std::make_unique<Process>(connection, std::move(started), std::move(expectation));
  }

  [[nodiscard]] Result<ControlReport> controls(const Policy& policy) override {
    SYMBIONT_TRY(const auto connection, connected());
    return connection->probe(policy);
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

std::vector<std::string> missing_controls(Launcher& launcher, const Policy& policy) {
  std::vector<std::string> names;
  for (const auto& [name, control] : launcher.controls(policy).value_or(ControlReport())) {
    if (control.state != ControlState::Enforced && is_required(name)) names.push_back(name);
  }
  return names;
}

}  // namespace symbiont::sandbox
