#include "sandbox/listed_syscalls.h"

#include <algorithm>
#include <array>

#include "sandbox/seccomp_filter.h"

namespace symbiont::sandbox {
namespace {

constexpr auto kNever = std::to_array<std::string_view>({
    // namespaces, mounts and roots: what the sandbox is made of
    "unshare",
    "setns",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "open_tree",
    "open_tree_attr",
    "move_mount",
    "mount_setattr",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "open_by_handle_at",
    // code and data in the kernel, which no namespace bounds
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "init_module",
    "finit_module",
    "create_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "keyctl",
    "add_key",
    "request_key",
    // the host as a whole
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    "quotactl",
    "quotactl_fd",
    "fanotify_init",
    "syslog",
    "settimeofday",
    "clock_settime",
    "sethostname",
    "setdomainname",
    "iopl",
    "ioperm",
    "vhangup",
});

constexpr auto kDebugging = std::to_array<std::string_view>({
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "pidfd_getfd",
    "kcmp",
});

// What would do other calls unseen, make processes or signal some. A worker's list is added to its
// filter, where nothing else stands behind it.
constexpr auto kNeverOfWorkers = std::to_array<std::string_view>({
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "fork",
    "vfork",
    "execve",
    "execveat",
    "kill",
    "tkill",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "pidfd_send_signal",
    "pkey_mprotect",
});

// Their arguments are checked in some phase of a worker.
constexpr auto kRuledForWorkers = std::to_array<std::string_view>({
    "clone",
    "clone3",
    "tgkill",
    "mmap",
    "mprotect",
    "madvise",
    "prctl",
    "fcntl",
    "newfstatat",
});

bool has(std::span<const std::string_view> calls, std::string_view name) {
  return std::ranges::find(calls, name) != calls.end();
}

}  // namespace

std::span<const std::string_view> never_listed_syscalls() {
  return kNever;
}

bool has_worker_rule(std::string_view name) {
  return has(kRuledForWorkers, name);
}

Status check_listed_syscalls(std::span<const std::string> names,
                             bool debugging_disabled,
                             ListOf whose) {
  for (const std::string& name : names) {
    SYMBIONT_TRY([[maybe_unused]] const int number, syscall_number(name));
    if (has(kNever, name))
      return fail(ErrorCode::InvalidArgument, "system call '" + name +
                                                  "' in allowed_syscalls: no list can allow it, "
                                                  "for it would undo the sandbox");
    if (whose == ListOf::Worker && has(kNeverOfWorkers, name))
      return fail(ErrorCode::InvalidArgument, "system call '" + name +
                                                  "' in allowed_syscalls: no list can allow it to "
                                                  "a model's worker");
    if (debugging_disabled && has(kDebugging, name))
      return fail(ErrorCode::InvalidArgument, "system call '" + name +
                                                  "' in allowed_syscalls: security."
                                                  "disable_debugging forbids it");
  }
  return {};
}

}  // namespace symbiont::sandbox
