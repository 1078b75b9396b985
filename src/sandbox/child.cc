#include "sandbox/child.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>

#include "sandbox/confine.h"
#include "sandbox/landlock.h"
#include "sandbox/lockdown.h"
#include "sandbox/seccomp_filter.h"
#include "sandbox/start.h"

namespace symbiont::sandbox {
namespace {

constexpr int kSetupFailed = 125;

[[noreturn]] void give_up(const ChildPlan& plan, const char* step) {
  const StepReport report{step, errno};
  // Nothing can be done about a failed report: the launcher then sees an early end without a step.
  if (::write(plan.step_fd, &report, sizeof report) < 0) ::_exit(kSetupFailed);
  ::_exit(kSetupFailed);
}

void must(const ChildPlan& plan, const char* failed_step) {
  if (failed_step != nullptr) give_up(plan, failed_step);
}

void must_call(const ChildPlan& plan,
               long result,
               const char* step) {  // NOLINT(google-runtime-int): syscall's type
  if (result < 0) give_up(plan, step);
}

/// Moves the descriptors that survive to 0..4: null, null, null, control, program. Sources are
/// above 9 by construction.
void arrange_descriptors(const ChildPlan& plan) {
  for (int target = 0; target < 3; ++target)
    must_call(plan, ::dup2(plan.null_fd, target), "attach /dev/null");
  must_call(plan, ::dup2(plan.control_fd, kControlFd), "attach the control socket");
  must_call(plan, ::syscall(SYS_close_range, kControlFd + 1, ~0U, CLOSE_RANGE_CLOEXEC),
            "close descriptors");
}

/// Capabilities survive exec of an unprivileged identity only as ambient ones; the worker needs
/// them to lock itself in.
void keep_capabilities_over_exec(const ChildPlan& plan) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  must_call(plan, ::syscall(SYS_capget, &header, data), "read capabilities");
  for (auto& set : data)
    set.inheritable = set.permitted;
  must_call(plan, ::syscall(SYS_capset, &header, data), "make capabilities inheritable");
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    must_call(plan, ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0),
              "keep capabilities over exec");
  }
}

[[noreturn]] void run_program(const ChildPlan& plan) {
  must_call(plan, ::setpriority(PRIO_PROCESS, 0, plan.nice), "set priority");
  if (plan.affinity != nullptr) {
    must_call(plan, ::sched_setaffinity(0, sizeof *plan.affinity, plan.affinity), "set affinity");
  }
  must_call(plan, ::setsid(), "start a session");
  sigset_t none;
  sigemptyset(&none);
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the child of a single-threaded process
  must_call(plan, ::sigprocmask(SIG_SETMASK, &none, nullptr), "unblock signals");
  arrange_descriptors(plan);
  if (plan.root == RootKind::EmptyAfterExec) {
    if (!plan.privileged) keep_capabilities_over_exec(plan);
  } else {
    must(plan, enter_empty_root(plan.mount_data, plan.read_only_root));
    must(plan, apply_rlimits(*plan.spec));
    must(plan, drop_privileges(*plan.spec));
    if (plan.spec->landlock)
      must_call(plan, landlock_deny_all(plan.program_fd), "restrict by Landlock");
    must_call(plan, install_filter(plan.filter), "install the system call filter");
  }
  ::syscall(SYS_execveat, plan.program_fd, "", plan.argv, plan.envp, AT_EMPTY_PATH);
  give_up(plan, "execute the program");
}

/// All that pid 1 does after its child runs. Killing it on anything else kills the tree.
void lock_init(const ChildPlan& plan) {
  constexpr std::uint32_t kNr = offsetof(seccomp_data, nr);
  static const sock_filter kCode[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNr),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_wait4, 4, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 3, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  must_call(plan, ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "lock pid 1");
  must_call(plan, install_filter(kCode), "lock pid 1");
}

std::int64_t microseconds(const timeval& time) {
  return time.tv_sec * 1'000'000 + time.tv_usec;
}

[[noreturn]] void wait_for_program(const ChildPlan& plan, pid_t program) {
  while (true) {
    int status = 0;
    rusage used{};
    const pid_t ended = ::wait4(-1, &status, 0, &used);
    if (ended < 0 && errno == EINTR) continue;
    if (ended != program && ended > 0) continue;  // an orphan of the program
    const ExitReport report{status, static_cast<std::int32_t>(used.ru_maxrss),
                            microseconds(used.ru_utime) + microseconds(used.ru_stime)};
    if (::write(plan.exit_fd, &report, sizeof report) < 0) ::_exit(kSetupFailed);
    ::_exit(0);
  }
}

}  // namespace

void run_init(const ChildPlan& plan) {
  must_call(plan, ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "tie to the launcher");
  char go = 0;
  if (::read(plan.go_fd, &go, 1) != 1) ::_exit(kSetupFailed);  // the launcher died or gave up
  if (plan.privileged) {
    must_call(plan, ::syscall(SYS_setresgid, 0, 0, 0), "become the namespace's group 0");
    must_call(plan, ::syscall(SYS_setresuid, 0, 0, 0), "become the namespace's user 0");
    must_call(plan, ::syscall(SYS_setgroups, 0, nullptr), "drop groups");
    must_call(plan, ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "tie to the launcher");
  }
  must_call(plan, ::sethostname("sandbox", 7), "set host name");
  // Private before the fork: what the program mounts must not be seen by pid 1's own tree, and vice
  // versa never outside.
  must_call(plan, ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr),
            "make mounts private");
  const auto program =
      static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  must_call(plan, program, "start the program's process");
  if (program == 0) run_program(plan);
  // Only exit_fd stays: step_fd's end of file tells the launcher that exec succeeded.
  if (::dup2(plan.exit_fd, 0) < 0) ::_exit(kSetupFailed);
  if (::syscall(SYS_close_range, 1, ~0U, 0U) != 0) ::_exit(kSetupFailed);
  ChildPlan rest = plan;
  rest.exit_fd = 0;
  lock_init(rest);
  wait_for_program(rest, program);
}

}  // namespace symbiont::sandbox
