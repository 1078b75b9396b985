// Attacks on processes: multiplying, outliving, tracing and signalling others, and getting back
// rights that were given up.

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/kcmp.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "attack.h"

namespace symbiont::attacks {
namespace {

constexpr unsigned kLife = 120;  // seconds; the end of whatever was left behind

pid_t process_of(Arguments a) {
  return static_cast<pid_t>(number(a, 0));
}

/// Forks until `wanted` children live at once.
Outcome multiply(std::uint64_t wanted, bool die_at_once) {
  std::vector<pid_t> children;
  int error = 0;
  while (children.size() < wanted) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::alarm(kLife);
      if (!die_at_once) ::pause();
      ::_exit(0);
    }
    error = errno;
    if (pid < 0) break;
    children.push_back(pid);
  }
  for (const pid_t pid : children) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  errno = error;
  return children.size() == wanted ? Outcome::Succeeded : blocked("fork");
}

Outcome fork_bomb(Arguments a) {
  return multiply(number(a, 0), false);
}

Outcome zombie_flood(Arguments a) {
  return multiply(number(a, 0), true);
}

Outcome vfork_child(Arguments) {
  const pid_t pid = ::vfork();  // NOLINT: the attack
  if (pid == 0) ::_exit(0);
  return tried(pid, "vfork");
}

Outcome clone3_child(Arguments) {
  std::array<std::uint64_t, 11> arguments{};
  arguments[4] = SIGCHLD;
  const auto pid = ::syscall(SYS_clone3, arguments.data(), sizeof arguments);
  if (pid == 0) ::_exit(0);
  return tried(pid, "clone3");
}

/// Holds a lock on `path` until it is killed; tells `ready` once it does.
[[noreturn]] void hold(const char* path, int ready) {
  ::alarm(kLife);
  const int fd = ::open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  const bool held = fd >= 0 && ::flock(fd, LOCK_EX) == 0;
  std::array<char, 16> pid{};
  const int size = std::snprintf(pid.data(), pid.size(), "%d\n", static_cast<int>(::getpid()));
  if (held) (void)!::write(fd, pid.data(), static_cast<std::size_t>(size));
  const char answer = held ? 'y' : 'n';
  (void)!::write(ready, &answer, 1);
  for (;;)
    ::pause();
}

/// Starts `hold` two generations away in a session of its own, and returns when it runs.
bool start_survivor(const char* path) {
  std::array<int, 2> ready{};
  if (::pipe2(ready.data(), O_CLOEXEC) != 0) return false;
  const pid_t child = ::fork();
  if (child < 0) return false;
  if (child == 0) {
    ::setsid();
    for (const int ignored : {SIGTERM, SIGHUP, SIGINT})
      ::signal(ignored, SIG_IGN);  // NOLINT(cert-err33-c): best effort
    if (::fork() != 0) ::_exit(0);
    for (int fd = 0; fd < 3; ++fd)
      ::close(fd);  // or the caller's pipes stay open
    hold(path, ready[1]);
  }
  ::close(ready[1]);
  ::waitpid(child, nullptr, 0);
  char answer = 0;
  return ::read(ready[0], &answer, 1) == 1 && answer == 'y';
}

Outcome survive_the_end(Arguments a) {
  return start_survivor(argument(a, 0)) ? Outcome::Succeeded : blocked("fork");
}

Outcome survive_the_launcher(Arguments a) {
  (void)::prctl(PR_SET_PDEATHSIG, 0);  // a sandbox may not have set it
  if (!start_survivor(argument(a, 0))) return blocked("fork");
  (void)std::puts("ready");
  (void)std::fflush(stdout);
  ::alarm(kLife);
  for (;;)
    ::pause();
}

Outcome signal_everyone(Arguments) {
  return tried(::kill(-1, 0), "kill");
}

Outcome kill_process(Arguments a) {
  return tried(::kill(process_of(a), SIGKILL), "kill");
}

Outcome kill_group(Arguments) {
  if (::signal(SIGTERM, SIG_IGN) == SIG_ERR) return blocked("signal");
  return tried(::kill(0, SIGTERM), "kill");
}

/// Whether the parent is gone after a kill: pid 1 of a namespace survives what its children send.
Outcome kill_parent(Arguments) {
  const pid_t parent = ::getppid();
  if (parent <= 0) return blocked_because("it has no parent it could name");
  if (::kill(parent, SIGKILL) != 0) return blocked("kill");
  constexpr int kTries = 50;
  for (int i = 0; i < kTries; ++i) {
    if (::getppid() != parent) return Outcome::Succeeded;
    ::poll(nullptr, 0, 10);
  }
  return blocked_because("the parent lives on");
}

Outcome trace_process(Arguments a) {
  return tried(::ptrace(PTRACE_SEIZE, process_of(a), nullptr, nullptr), "ptrace");
}

Outcome trace_child(Arguments) {
  return tried(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr), "ptrace");
}

Outcome read_memory(Arguments a) {
  std::array<char, 8> buffer{};
  iovec local{.iov_base = buffer.data(), .iov_len = buffer.size()};
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of the other process
  iovec remote{.iov_base = reinterpret_cast<void*>(number(a, 1)), .iov_len = buffer.size()};
  return tried(::process_vm_readv(process_of(a), &local, 1, &remote, 1, 0), "process_vm_readv");
}

Outcome write_memory(Arguments a) {
  std::array<char, 2> buffer = {"V"};
  iovec local{.iov_base = buffer.data(), .iov_len = 1};
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of the other process
  iovec remote{.iov_base = reinterpret_cast<void*>(number(a, 1)), .iov_len = 1};
  return tried(::process_vm_writev(process_of(a), &local, 1, &remote, 1, 0), "process_vm_writev");
}

Outcome steal_descriptor(Arguments a) {
  const auto pidfd = ::syscall(SYS_pidfd_open, process_of(a), 0);
  const auto fd = ::syscall(SYS_pidfd_getfd, pidfd, static_cast<int>(number(a, 1)), 0);
  return fd < 0 ? blocked("pidfd_getfd") : read_descriptor(static_cast<int>(fd));
}

Outcome compare_processes(Arguments a) {
  return tried(::syscall(SYS_kcmp, process_of(a), ::getpid(), KCMP_VM, 0, 0), "kcmp");
}

Outcome raise_priority(Arguments) {
  return tried(::setpriority(PRIO_PROCESS, 0, -20), "setpriority");
}

Outcome run_in_real_time(Arguments) {
  const sched_param parameter{.sched_priority = 1};
  return tried(::sched_setscheduler(0, SCHED_FIFO, &parameter), "sched_setscheduler");
}

Outcome widen_affinity(Arguments) {
  cpu_set_t all;
  CPU_ZERO(&all);
  CPU_SET(0, &all);
  return tried(::sched_setaffinity(0, sizeof all, &all), "sched_setaffinity");
}

Outcome unshare_user(Arguments) {
  return tried(::unshare(CLONE_NEWUSER), "unshare");
}

Outcome unshare_network(Arguments) {
  return tried(::unshare(CLONE_NEWNET), "unshare");
}

Outcome clone_namespace(Arguments) {
  const auto pid = ::syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNS | SIGCHLD, nullptr, nullptr,
                             nullptr, nullptr);
  if (pid == 0) ::_exit(0);
  return tried(pid, "clone");
}

Outcome clone3_namespace(Arguments) {
  std::array<std::uint64_t, 11> arguments{};
  arguments[0] = CLONE_NEWUSER;
  arguments[4] = SIGCHLD;
  const auto pid = ::syscall(SYS_clone3, arguments.data(), sizeof arguments);
  if (pid == 0) ::_exit(0);
  return tried(pid, "clone3");
}

Outcome enter_namespaces(Arguments a) {
  const auto pidfd = ::syscall(SYS_pidfd_open, process_of(a), 0);
  return tried(::setns(static_cast<int>(pidfd), CLONE_NEWNET | CLONE_NEWIPC), "setns");
}

Outcome effective_root(Arguments) {
  if (::geteuid() != 0) return blocked_because("not root");
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return blocked("capget");
  return sets[0].effective != 0 ? Outcome::Succeeded : blocked_because("root without a capability");
}

Outcome become_root(Arguments) {
  if (::syscall(SYS_setresuid, 0, 0, 0) != 0) return blocked("setresuid");
  return effective_root({});
}

Outcome regain_capabilities(Arguments) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> sets{};
  sets[0].permitted = sets[0].effective = 1U << CAP_SYS_ADMIN;
  return tried(::syscall(SYS_capset, &header, sets.data()), "capset");
}

Outcome keep_privileged_exec(Arguments) {
  const int value = ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
  if (value < 0) return blocked("prctl");
  return value == 0 ? Outcome::Succeeded : blocked_because("no_new_privs is set");
}

Outcome set_id_program(Arguments a) {
  std::array<char*, 3> argv = {a[0], const_cast<char*>("effective_root"), nullptr};
  ::execv(argument(a, 0), argv.data());
  return blocked("execve");
}

sock_fprog program(std::span<sock_filter> code) {
  return {.len = static_cast<unsigned short>(code.size()), .filter = code.data()};
}

/// A later filter that allows everything must not lift the first.
Outcome override_filter(Arguments) {
  std::array<sock_filter, 1> code = {{BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}};
  sock_fprog filter = program(code);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return blocked("prctl");
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0) return blocked("seccomp");
  return tried(::unshare(CLONE_NEWUTS), "unshare");
}

/// The listener of the newest filter is asked first: a program could answer its own questions.
Outcome answer_own_calls(Arguments) {
  std::array<sock_filter, 1> code = {{BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}};
  sock_fprog filter = program(code);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return blocked("prctl");
  return tried(
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter),
      "seccomp");
}

/// Type a command into the terminal that the program was given as its input.
Outcome type_into_terminal(Arguments) {
  char key = 'x';
  return tried(::ioctl(STDIN_FILENO, TIOCSTI, &key), "ioctl TIOCSTI");
}

/// The kernel looks at the low half of the request.
Outcome type_by_high_bits(Arguments) {
  char key = 'x';
  constexpr std::uint64_t kRequest = (std::uint64_t{1} << 32U) | TIOCSTI;
  return tried(::syscall(SYS_ioctl, STDIN_FILENO, kRequest, &key), "ioctl TIOCSTI");
}

Outcome take_terminal(Arguments) {
  if (::setsid() < 0 && errno != EPERM) return blocked("setsid");
  return tried(::ioctl(STDIN_FILENO, TIOCSCTTY, 1), "ioctl TIOCSCTTY");
}

/// Whose group is in the foreground gets the keys that are typed; the caller's shell is stopped.
Outcome take_foreground(Arguments) {
  ::signal(SIGTTOU, SIG_IGN);  // NOLINT(cert-err33-c): sent to those in the background
  (void)::setpgid(0, 0);       // a leader of a session has its own group already
  return tried(::tcsetpgrp(STDIN_FILENO, ::getpgrp()), "tcsetpgrp");
}

Outcome change_personality(Arguments) {
  return tried(::personality(READ_IMPLIES_EXEC), "personality");
}

Outcome call_32_bit(Arguments) {
#if defined(__x86_64__)
  int result = 0;
  asm volatile("int $0x80" : "=a"(result) : "a"(20) : "memory");  // getpid of the 32-bit table
  errno = -result;
  return tried(result, "int 0x80");
#else
  return not_applicable("no 32-bit table");
#endif
}

Outcome call_x32(Arguments) {
#if defined(__x86_64__)
  constexpr long kX32Bit = 0x40000000;  // NOLINT(google-runtime-int): syscall's type
  const auto result = ::syscall(kX32Bit | SYS_getpid);
  if (result < 0 && errno == ENOSYS) return not_applicable("the kernel has no x32 table");
  return tried(result, "x32 getpid");
#else
  return not_applicable("no x32 table");
#endif
}

Outcome change_segments(Arguments) {
#if defined(__x86_64__)
  std::array<char, 16> table{};
  return tried(::syscall(SYS_modify_ldt, 0, table.data(), table.size()), "modify_ldt");
#else
  return not_applicable("no segments");
#endif
}

constexpr auto kAttacks = std::to_array<Attack>({
    {"fork_bomb", "forks without end", "COUNT", fork_bomb},
    {"fork_once", "forks where no child is allowed", "COUNT", fork_bomb},
    {"zombie_flood", "leaves dead children uncollected", "COUNT", zombie_flood},
    {"vfork_child", "makes a child by vfork", "", vfork_child},
    {"clone3_child", "makes a child by clone3, whose flags a filter cannot read", "", clone3_child},
    {"survive_the_end", "leaves a daemon behind", "LOCK", survive_the_end},
    {"survive_the_launcher", "outlives a launcher that is killed", "LOCK", survive_the_launcher},
    {"signal_everyone", "signals all processes there are", "", signal_everyone},
    {"kill_process", "kills a process of the host by its pid", "PID", kill_process},
    {"kill_group", "kills the process group it was started in", "", kill_group},
    {"kill_parent", "kills its parent", "", kill_parent},
    {"trace_process", "traces a process of the host", "PID", trace_process},
    {"trace_child", "has itself traced", "", trace_child},
    {"read_memory", "reads the memory of another process", "PID ADDRESS", read_memory},
    {"write_memory", "writes the memory of another process", "PID ADDRESS", write_memory},
    {"steal_descriptor", "copies a descriptor of another process", "PID FD", steal_descriptor},
    {"compare_processes", "learns the layout of kernel objects", "PID", compare_processes},
    {"raise_priority", "makes itself more important", "", raise_priority},
    {"run_in_real_time", "asks for real-time scheduling", "", run_in_real_time},
    {"widen_affinity", "chooses its own processors", "", widen_affinity},
    {"unshare_user", "makes a user namespace, to be root there", "", unshare_user},
    {"unshare_network", "makes a network namespace", "", unshare_network},
    {"clone_namespace", "makes namespaces with a child", "", clone_namespace},
    {"clone3_namespace", "makes namespaces by clone3", "", clone3_namespace},
    {"enter_namespaces", "enters the namespaces of a process of the host", "PID", enter_namespaces},
    {"become_root", "sets its user to root", "", become_root},
    {"regain_capabilities", "takes back a capability", "", regain_capabilities},
    {"keep_privileged_exec", "finds that exec may still add rights", "", keep_privileged_exec},
    {"set_id_program", "executes a set-user-id program", "PROGRAM", set_id_program},
    {"effective_root", "finds itself root (what set_id_program executes)", "", effective_root},
    {"override_filter", "lifts the filter by a second one", "", override_filter},
    {"answer_own_calls", "makes itself the judge of its own calls", "", answer_own_calls},
    {"type_into_terminal", "types into the caller's terminal", "", type_into_terminal},
    {"type_by_high_bits", "hides that behind bits that the kernel ignores", "", type_by_high_bits},
    {"take_terminal", "makes the caller's terminal its own", "", take_terminal},
    {"take_foreground", "puts itself in the foreground of the caller's terminal", "",
     take_foreground},
    {"change_personality", "makes all memory executable", "", change_personality},
    {"call_32_bit", "calls the kernel by its 32-bit table", "", call_32_bit},
    {"call_x32", "calls the kernel by its x32 table", "", call_x32},
    {"change_segments", "reads and sets segment descriptors", "", change_segments},
});

}  // namespace

std::span<const Attack> process_attacks() {
  return kAttacks;
}

}  // namespace symbiont::attacks
