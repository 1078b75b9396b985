// The filter of any program: what ordinary programs call, minus what opens the kernel's back doors.

#include <linux/seccomp.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>

#include "sandbox/filter_assembler.h"
#include "sandbox/listed_syscalls.h"
#include "sandbox/seccomp_filter.h"

namespace symbiont::sandbox {
namespace {

// Names, since numbers differ by architecture; one that an architecture lacks is left out.
constexpr auto kBaseline = std::to_array<std::string_view>({
    // files
    "read",
    "write",
    "close",
    "stat",
    "fstat",
    "lstat",
    "newfstatat",
    "statx",
    "access",
    "faccessat",
    "faccessat2",
    "lseek",
    "pread64",
    "pwrite64",
    "readv",
    "writev",
    "preadv",
    "pwritev",
    "preadv2",
    "pwritev2",
    "dup",
    "dup2",
    "dup3",
    "fcntl",
    "flock",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "truncate",
    "ftruncate",
    "fallocate",
    "getdents",
    "getdents64",
    "getcwd",
    "chdir",
    "fchdir",
    "rename",
    "renameat",
    "renameat2",
    "mkdir",
    "mkdirat",
    "rmdir",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "symlink",
    "symlinkat",
    "readlink",
    "readlinkat",
    "umask",
    "chown",
    "lchown",
    "fchown",
    "fchownat",
    "utime",
    "utimes",
    "utimensat",
    "futimesat",
    "statfs",
    "fstatfs",
    "getxattr",
    "lgetxattr",
    "fgetxattr",
    "listxattr",
    "llistxattr",
    "flistxattr",
    "setxattr",
    "lsetxattr",
    "fsetxattr",
    "removexattr",
    "lremovexattr",
    "fremovexattr",
    "inotify_init",
    "inotify_init1",
    "inotify_add_watch",
    "inotify_rm_watch",
    "sendfile",
    "splice",
    "tee",
    "vmsplice",
    "copy_file_range",
    "readahead",
    "fadvise64",
    "pipe",
    "pipe2",
    "close_range",
    "cachestat",
    // memory
    "mmap",
    "mprotect",
    "munmap",
    "brk",
    "mremap",
    "madvise",
    "msync",
    "mincore",
    "mlock",
    "mlock2",
    "munlock",
    "mlockall",
    "munlockall",
    "pkey_alloc",
    "pkey_free",
    "pkey_mprotect",
    "mseal",
    "map_shadow_stack",
    "get_mempolicy",
    // waiting
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "eventfd",
    "eventfd2",
    "signalfd",
    "signalfd4",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    "timer_create",
    "timer_settime",
    "timer_gettime",
    "timer_getoverrun",
    "timer_delete",
    "nanosleep",
    "clock_nanosleep",
    "clock_gettime",
    "clock_getres",
    "gettimeofday",
    "time",
    "times",
    "getitimer",
    "setitimer",
    "alarm",
    "pause",
    "futex",
    "futex_waitv",
    "futex_wait",
    "futex_wake",
    "futex_requeue",
    // signals and processes; pids are those of the sandbox's own namespace
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigsuspend",
    "sigaltstack",
    "kill",
    "tkill",
    "tgkill",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "pidfd_open",
    "pidfd_send_signal",
    "wait4",
    "waitid",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "getpid",
    "getppid",
    "gettid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getgroups",
    "getresuid",
    "getresgid",
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setfsuid",
    "setfsgid",
    "setgroups",
    "getpgid",
    "setpgid",
    "getpgrp",
    "getsid",
    "setsid",
    "getpriority",
    "setpriority",
    "sched_yield",
    "sched_getaffinity",
    "sched_getparam",
    "sched_setparam",
    "sched_getscheduler",
    "sched_setscheduler",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_rr_get_interval",
    "sched_getattr",
    "ioprio_get",
    "getrlimit",
    "setrlimit",
    "prlimit64",
    "getrusage",
    "sysinfo",
    "uname",
    "getrandom",
    "getcpu",
    "set_robust_list",
    "get_robust_list",
    "set_tid_address",
    "rseq",
    "membarrier",
    "restart_syscall",
    "arch_prctl",
    "prctl",
    "capget",
    "capset",
    "seccomp",
    "landlock_create_ruleset",
    "landlock_add_rule",
    "landlock_restrict_self",
    // sockets that exist: socket(2) itself has a rule
    "connect",
    "bind",
    "listen",
    "accept",
    "accept4",
    "getsockname",
    "getpeername",
    "getsockopt",
    "setsockopt",
    "sendto",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "sendmmsg",
    "recvmmsg",
    "shutdown",
});

// Libraries try these and fall back; they are refused without being a violation, also when a
// profile names them: they would get past the rules below.
constexpr auto kFallbacks = std::to_array<std::pair<std::string_view, std::uint32_t>>({
    {"clone3", ENOSYS},          // its flags are in memory, where a filter cannot read them
    {"openat2", ENOSYS},         // so is its mode
    {"io_uring_setup", ENOSYS},  // would do the other calls unseen
    {"io_uring_enter", ENOSYS},
    {"io_uring_register", ENOSYS},
    {"memfd_secret", ENOSYS},
    {"sched_setaffinity", EPERM},  // the CPU limit may be an affinity
    {"sched_setattr", EPERM},
});

// What exec and the report of our own start need, whatever a profile lists.
constexpr auto kAlways =
    std::to_array<std::string_view>({"execve", "execveat", "exit", "exit_group", "rt_sigreturn",
                                     "restart_syscall", "sendmsg", "close"});

constexpr std::uint32_t kSetIds = S_ISUID | S_ISGID;
constexpr std::uint32_t kNamespaceFlags = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
                                          CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
                                          CLONE_NEWNET;
constexpr std::uint32_t kTiocsti = 0x5412;    // types into the terminal it reads from
constexpr std::uint32_t kTioclinux = 0x541C;  // pastes into a console
constexpr std::uint32_t kTiocsctty = 0x540E;

int number_of(std::string_view name) {
  return syscall_number(name).value_or(-1);
}

class ProgramFilter {
 public:
  ProgramFilter(const ProgramFilterOptions& options, std::uint32_t deny)
      : options_(options), deny_(deny) {}

  /// The first rule of a call counts: naming it in a profile does not lift one from above.
  Filter build() {
    for (const auto& [name, error] : kFallbacks) {
      on(name, SECCOMP_RET_ERRNO | error);
    }
    for (const std::string_view name : never_listed_syscalls())
      on(name, deny_);
    file_rules();
    process_rules();
    socket_rules();
    for (const std::string_view name : kAlways)
      on(name, SECCOMP_RET_ALLOW);
    if (options_.allowed.empty()) {
      for (const std::string_view name : kBaseline)
        on(name, SECCOMP_RET_ALLOW);
    } else {
      // A list may repeat itself; the kernel takes 4096 instructions.
      for (const std::string& name : std::set(options_.allowed.begin(), options_.allowed.end()))
        on(name, SECCOMP_RET_ALLOW);
    }
    return out_.take(deny_);
  }

 private:
  /// Whether the profile's own list names it; without a list nothing is asked for by name.
  [[nodiscard]] bool asked_for(std::string_view name) const {
    return std::ranges::find(options_.allowed, name) != options_.allowed.end();
  }
  /// Whether a call with a rule is allowed at all.
  [[nodiscard]] bool usable(std::string_view name) const {
    return options_.allowed.empty() || asked_for(name);
  }
  void on(std::string_view name, std::uint32_t action) {
    if (const int number = number_of(name); number >= 0) out_.on_call(number, action);
  }

  void without(std::string_view name, unsigned argument, std::uint32_t forbidden) {
    const int number = number_of(name);
    if (number < 0 || !usable(name)) return;
    out_.without_low_bits(number, argument, forbidden, deny_);
  }

  // A set-id file left in a write path would outlive the sandbox with the rights of its owner.
  void file_rules() {
    if (options_.report_files) {
      for (const std::string_view name : {"open", "openat", "creat"})
        if (usable(name)) on(name, SECCOMP_RET_USER_NOTIF);
    }
    without("open", 2, kSetIds);
    without("openat", 3, kSetIds);
    without("creat", 1, kSetIds);
    without("chmod", 1, kSetIds);
    without("fchmod", 1, kSetIds);
    without("fchmodat", 2, kSetIds);
    without("fchmodat2", 2, kSetIds);
    without("mknod", 1, kSetIds);
    without("mknodat", 2, kSetIds);
    if (const int number = number_of("ioctl"); usable("ioctl"))
      out_.none_of(number, 1, {kTiocsti, kTioclinux, kTiocsctty}, deny_);
    if (const int number = number_of("personality"); number >= 0 && usable("personality"))
      out_.one_of(number, 0, {0, 0xffffffff}, deny_);
  }

  // Threads are free (pids.max bounds them); a new process is asked for, so that it can be counted.
  void process_rules() {
    const std::uint32_t ask = options_.notify
                                  ? SECCOMP_RET_USER_NOTIF
                                  : SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(EAGAIN);
    for (const std::string_view name : {"fork", "vfork"})
      if (usable(name)) on(name, ask);
    if (const int number = number_of("clone"); usable("clone"))
      out_.clone_rule(number, kNamespaceFlags, CLONE_THREAD, ask, deny_);
  }

  void socket_rules() {
    if (const int number = number_of("socketpair"); usable("socketpair"))
      out_.pair_rule(number, quiet_socket());
    const int number = number_of("socket");
    if (!usable("socket")) return;
    switch (options_.network) {
      case NetworkAccessMode::None:
        out_.on_call(number, quiet_socket());
        break;
      case NetworkAccessMode::Restricted:
        out_.stream_socket_rule(number, quiet_socket());
        break;
      case NetworkAccessMode::Full:
        out_.one_of(number, 0, {AF_INET, AF_INET6, AF_NETLINK}, quiet_socket());
        break;
    }
  }
  [[nodiscard]] std::uint32_t quiet_socket() const {
    return options_.notify ? SECCOMP_RET_USER_NOTIF
                           : SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(EACCES);
  }

  const ProgramFilterOptions& options_;
  std::uint32_t deny_;
  FilterAssembler out_;
};

}  // namespace

Filter build_program_filter(const ProgramFilterOptions& options) {
  std::uint32_t deny = SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(EPERM);
  if (options.kill_on_violation) deny = SECCOMP_RET_KILL_PROCESS;
  if (options.notify) deny = SECCOMP_RET_USER_NOTIF;
  return ProgramFilter(options, deny).build();
}

}  // namespace symbiont::sandbox
