#include "sandbox/init.h"

#include <linux/capability.h>
#include <linux/filter.h>
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
#include <cstdint>
#include <optional>
#include <span>

#include "sandbox/seccomp_filter.h"
#include "sandbox/start.h"

namespace symbiont::sandbox {
namespace {

constexpr std::uint32_t kNr = offsetof(seccomp_data, nr);
constexpr std::int64_t kOutputBlock = 512;  // getrusage(2)'s unit
constexpr int kReportFd = 0;

/// All that pid 1 does after settle_init(). Killing it on anything else kills the tree.
constexpr sock_filter kPid1Calls[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNr),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_wait4, 5, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 4, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 3, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close, 2, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};
/// The same without a pid namespace, where it has to end the tree itself.
constexpr sock_filter kPlainCalls[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNr),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_wait4, 9, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 8, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 7, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close, 6, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 5, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigtimedwait, 4, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_kill, 3, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setresuid, 2, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_capset, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

std::int64_t microseconds(const timeval& time) {
  return time.tv_sec * 1'000'000 + time.tv_usec;
}

/// The end of the program, once it is known.
struct Ending {
  bool known = false;
  ExitReport report;
};

/// Takes one child that has ended; false when there is none.
bool reap_one(pid_t program, int options, Ending& ending) {
  int status = 0;
  rusage used{};
  pid_t ended = 0;
  do {
    ended = ::wait4(-1, &status, options, &used);
  } while (ended < 0 && errno == EINTR);
  if (ended <= 0) return false;
  if (ended != program) return true;  // an orphan of the program
  ending.known = true;
  ending.report = {status, static_cast<std::int32_t>(used.ru_maxrss),
                   microseconds(used.ru_utime) + microseconds(used.ru_stime),
                   used.ru_oublock * kOutputBlock};
  return true;
}

[[noreturn]] void report_end(const Ending& ending) {
  const bool told = ending.known && ::write(kReportFd, &ending.report, sizeof ending.report) ==
                                        sizeof ending.report;
  ::_exit(told ? 0 : kSetupFailed);
}

sigset_t orders() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGCHLD);
  return set;
}

/// Makes signals to all reach the processes of `identity` and nobody else. Only the effective
/// identity is the tree's: with another as real and saved one, no process of the tree can signal
/// this one. Not to be left to the change of identity: secure bits can make it keep capabilities.
bool take_aim(uid_t identity) {
  const uid_t own = identity + kOutsideCount;
  if (::syscall(SYS_setresuid, own, identity, own) != 0) return false;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[2] = {};
  return ::syscall(SYS_capset, &header, none) == 0;
}

/// Kills and reaps all of the tree. Only an identity of its own tells a tree of several processes
/// from the rest of the host; without one the program cannot have made a second.
void end_tree(std::optional<uid_t> identity, pid_t program, Ending& ending) {
  // First as root: whatever identity it has. ESRCH here and below: it has ended.
  if (!ending.known) (void)::kill(program, SIGKILL);
  const bool alone = identity && take_aim(*identity);
  do {
    if (alone) (void)::kill(-1, SIGKILL);  // not the sender itself: kill(2)
  } while (reap_one(program, 0, ending));
}

[[noreturn]] void attend_plainly(std::optional<uid_t> identity, pid_t program) {
  const sigset_t awaited = orders();
  Ending ending;
  while (!ending.known) {
    const int signal = ::sigwaitinfo(&awaited, nullptr);
    if (signal == SIGTERM) break;
    while (!ending.known && reap_one(program, WNOHANG, ending)) {
    }
  }
  end_tree(identity, program, ending);
  report_end(ending);
}

}  // namespace

uid_t outside_id_of(pid_t init) {
  return kOutsideBase + static_cast<uid_t>(init) % kOutsideCount;
}

const char* tie_to_launcher(const InitPlan& init) {
  if (!init.own_namespaces) {
    // A death by SIGKILL would leave the program alive.
    const sigset_t blocked = orders();
    // NOLINTNEXTLINE(concurrency-mt-unsafe): the child of a single-threaded process
    if (::sigprocmask(SIG_BLOCK, &blocked, nullptr) != 0) return "block signals";
    if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return "become the tree's reaper";
  }
  const int signal = init.own_namespaces ? SIGKILL : SIGTERM;
  return ::prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0) == 0 ? nullptr : "tie to the launcher";
}

const char* enter_namespaces(const InitPlan& init) {
  if (init.privileged) {
    if (::syscall(SYS_setresgid, 0, 0, 0) != 0) return "become the namespace's group 0";
    if (::syscall(SYS_setresuid, 0, 0, 0) != 0) return "become the namespace's user 0";
    if (::syscall(SYS_setgroups, 0, nullptr) != 0) return "drop groups";
    // The change of identity has undone it.
    if (const char* failed = tie_to_launcher(init)) return failed;
  }
  if (::sethostname("sandbox", 7) != 0) return "set host name";
  // Private before the fork: what the program mounts must not be seen by pid 1's own tree, and vice
  // versa never outside.
  return ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 ? nullptr
                                                                           : "make mounts private";
}

const char* settle_init(const InitPlan& init) {
  const auto channel = static_cast<unsigned>(init.channel_fd);
  if (::dup2(init.exit_fd, kReportFd) < 0) return "keep the pipe for the end";
  if (::syscall(SYS_close_range, kReportFd + 1, channel - 1, 0U) != 0 ||
      ::syscall(SYS_close_range, channel + 1, ~0U, 0U) != 0) {
    return "close pid 1's descriptors";
  }
  const auto calls = init.own_namespaces ? std::span<const sock_filter>(kPid1Calls)
                                         : std::span<const sock_filter>(kPlainCalls);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return "set no_new_privs for pid 1";
  return install_filter(calls) == 0 ? nullptr : "install pid 1's system call filter";
}

void attend_program(const InitPlan& init, std::optional<uid_t> identity, pid_t program) {
  ::close(init.channel_fd);  // its end of file tells the launcher that exec succeeded
  if (!init.own_namespaces) attend_plainly(identity, program);
  Ending ending;
  while (!ending.known && reap_one(program, 0, ending)) {
  }
  report_end(ending);
}

}  // namespace symbiont::sandbox
