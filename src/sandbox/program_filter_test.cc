// The filter of any program as a pure function: what it answers to which call.

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "sandbox/bpf_for_test.h"
#include "sandbox/listed_syscalls.h"
#include "sandbox/seccomp_filter.h"

namespace symbiont::sandbox {
namespace {

constexpr int kHighestNumber = 600;  // past the last one of any kernel so far
constexpr std::uint32_t kAsk = SECCOMP_RET_USER_NOTIF;
constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;

constexpr std::uint32_t refused(int error) {
  return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error);
}

ProgramFilterOptions notifying(NetworkAccessMode network = NetworkAccessMode::None,
                               std::vector<std::string> allowed = {}) {
  ProgramFilterOptions options;
  options.notify = true;
  options.network = network;
  options.allowed = std::move(allowed);
  return options;
}

struct Case {
  const char* name;
  int number;
  std::vector<std::uint64_t> arguments;
  std::uint32_t answer;
};

void expect_all(const ProgramFilterOptions& options, const std::vector<Case>& cases) {
  const Filter filter = build_program_filter(options);
  ASSERT_LE(filter.size(), 4096U);  // BPF_MAXINSNS
  for (const Case& one : cases) {
    seccomp_data call = call_of(one.number);
    for (std::size_t i = 0; i < one.arguments.size(); ++i)
      call.args[i] = one.arguments[i];
    EXPECT_EQ(evaluate(filter, call), one.answer) << one.name;
  }
}

TEST(ProgramFilter, AnswersByArguments) {
  constexpr std::uint64_t kThread = 0x3d0f00;
  expect_all(
      notifying(),
      {{"open", SYS_openat, {0, 0, 0101, 0644}, kAllow},
       {"open set-uid", SYS_openat, {0, 0, 0101, 04755}, kAsk},
       {"chmod", SYS_chmod, {0, 0755}, kAllow},
       {"chmod set-uid", SYS_chmod, {0, 04755}, kAsk},
       {"fchmod set-gid", SYS_fchmod, {0, 02755}, kAsk},
       {"fchmodat set-uid behind high bits", SYS_fchmodat, {0, 0, 0xf00000000 | 04755}, kAsk},
       {"mknod set-uid", SYS_mknodat, {0, 0, 04755}, kAsk},
       {"thread", SYS_clone, {kThread}, kAllow},
       {"process", SYS_clone, {SIGCHLD}, kAsk},
       {"thread in a new user namespace", SYS_clone, {kThread | CLONE_NEWUSER}, kAsk},
       {"fork", SYS_fork, {}, kAsk},
       {"vfork", SYS_vfork, {}, kAsk},
       {"clone3", SYS_clone3, {}, refused(ENOSYS)},
       {"openat2", SYS_openat2, {}, refused(ENOSYS)},
       {"io_uring", SYS_io_uring_setup, {}, refused(ENOSYS)},
       {"affinity", SYS_sched_setaffinity, {}, refused(EPERM)},
       {"typing into a terminal", SYS_ioctl, {0, 0x5412}, kAsk},
       {"the same behind high bits", SYS_ioctl, {0, 0xf00005412}, kAsk},
       {"pasting into a console", SYS_ioctl, {0, 0x541C}, kAsk},
       {"window size", SYS_ioctl, {0, 0x5413}, kAllow},
       {"personality", SYS_personality, {0xffffffff}, kAllow},
       {"no randomisation", SYS_personality, {0x0040000}, kAsk},
       {"connected pair", SYS_socketpair, {AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC}, kAllow},
       {"datagram pair", SYS_socketpair, {AF_UNIX, SOCK_DGRAM}, kAsk},
       {"mount", SYS_mount, {}, kAsk},
       {"ptrace", SYS_ptrace, {}, kAsk}});
}

TEST(ProgramFilter, SocketsFollowTheNetworkPolicy) {
  const std::vector<Case> calls = {
      {"tcp", SYS_socket, {AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0}, kAllow},
      {"tcp by number", SYS_socket, {AF_INET6, SOCK_STREAM, 6}, kAllow},
      {"udp", SYS_socket, {AF_INET, SOCK_DGRAM, 0}, kAsk},
      {"raw", SYS_socket, {AF_INET, SOCK_RAW, 1}, kAsk},
      {"mptcp", SYS_socket, {AF_INET, SOCK_STREAM, 262}, kAsk},
      {"unix", SYS_socket, {AF_UNIX, SOCK_STREAM, 0}, kAsk},
      {"vsock", SYS_socket, {AF_VSOCK, SOCK_STREAM, 0}, kAsk},
      {"packet", SYS_socket, {AF_PACKET, SOCK_RAW, 0}, kAsk}};
  expect_all(notifying(NetworkAccessMode::Restricted), calls);
  std::vector<Case> none = calls;
  for (Case& one : none)
    one.answer = kAsk;
  expect_all(notifying(NetworkAccessMode::None), none);
  expect_all(notifying(NetworkAccessMode::Full),
             {{"udp", SYS_socket, {AF_INET, SOCK_DGRAM, 0}, kAllow},
              {"vsock", SYS_socket, {AF_VSOCK, SOCK_STREAM, 0}, kAsk},
              {"unix", SYS_socket, {AF_UNIX, SOCK_STREAM, 0}, kAsk}});
}

TEST(ProgramFilter, AListReplacesTheBaselineAndLiftsNoRule) {
  expect_all(notifying(NetworkAccessMode::None,
                       {"read", "chmod", "clone", "socket", "clone3", "openat2", "io_uring_setup"}),
             {{"listed", SYS_read, {}, kAllow},
              {"of the baseline, not listed", SYS_write, {}, kAsk},
              {"exec", SYS_execve, {}, kAllow},
              {"chmod", SYS_chmod, {0, 0755}, kAllow},
              {"chmod set-uid", SYS_chmod, {0, 04755}, kAsk},
              {"new namespace", SYS_clone, {CLONE_NEWNS}, kAsk},
              {"socket", SYS_socket, {AF_INET, SOCK_STREAM, 0}, kAsk},
              {"clone3", SYS_clone3, {}, refused(ENOSYS)},
              {"openat2", SYS_openat2, {}, refused(ENOSYS)},
              {"io_uring", SYS_io_uring_setup, {}, refused(ENOSYS)}});
}

TEST(ProgramFilter, WhatNoListAllowsStaysDeniedWhenListed) {
  std::vector<std::string> listed = {"read"};
  std::vector<Case> calls = {{"listed", SYS_read, {}, kAllow}};
  for (const std::string_view name : never_listed_syscalls()) {
    const auto number = syscall_number(name);
    if (!number.has_value()) continue;  // of another architecture, or of a newer kernel
    listed.emplace_back(name);
    calls.push_back({name.data(), *number, {}, kAsk});
  }
  ASSERT_GT(calls.size(), 30U);
  expect_all(notifying(NetworkAccessMode::Full, listed), calls);
}

std::string refusal(const std::string& name,
                    bool debugging_disabled,
                    ListOf whose = ListOf::Program) {
  const std::vector<std::string> names = {"read", name};
  const Status checked = check_listed_syscalls(names, debugging_disabled, whose);
  return checked.has_value() ? "" : checked.error().message();
}

TEST(ListedSyscalls, WhatWouldUndoTheSandboxIsRefusedByName) {
  for (const char* name : {"mount", "umount2", "pivot_root", "unshare", "setns", "bpf", "keyctl",
                           "init_module", "kexec_load", "open_by_handle_at"}) {
    EXPECT_EQ(refusal(name, false), "system call '" + std::string(name) +
                                        "' in allowed_syscalls: no list can allow it, for it would "
                                        "undo the sandbox");
  }
  EXPECT_EQ(refusal("opne", false), "unknown system call 'opne'");
  EXPECT_EQ(refusal("memfd_create", true), "");
}

TEST(ListedSyscalls, AWorkerNeverGetsWhatItsFilterCannotCheck) {
  for (const char* name : {"io_uring_enter", "fork", "kill", "execveat", "pidfd_send_signal"}) {
    EXPECT_EQ(refusal(name, false, ListOf::Worker),
              "system call '" + std::string(name) +
                  "' in allowed_syscalls: no list can allow it to a model's worker");
    EXPECT_EQ(refusal(name, false), "");
  }
  EXPECT_EQ(refusal("openat", true, ListOf::Worker), "");
}

TEST(ListedSyscalls, DebuggingCallsNeedDebugging) {
  for (const char* name : {"ptrace", "process_vm_readv", "process_vm_writev", "process_madvise",
                           "pidfd_getfd", "kcmp"}) {
    EXPECT_EQ(refusal(name, true),
              "system call '" + std::string(name) +
                  "' in allowed_syscalls: security.disable_debugging forbids it");
    EXPECT_EQ(refusal(name, false), "");
  }
}

TEST(ProgramFilter, WithoutALauncherToAskItKillsOrRefuses) {
  ProgramFilterOptions options;
  const std::vector<std::pair<bool, std::uint32_t>> answers = {{true, SECCOMP_RET_KILL_PROCESS},
                                                               {false, refused(EPERM)}};
  for (const auto& [strict, answer] : answers) {
    options.kill_on_violation = strict;
    expect_all(options,
               {{"mount", SYS_mount, {}, answer}, {"fork", SYS_fork, {}, refused(EAGAIN)}});
  }
}

TEST(ProgramFilter, ForeignAbisAreKilledForEveryCall) {
  const Filter filter = build_program_filter(notifying());
  for (int number = 0; number < kHighestNumber; ++number) {
    seccomp_data call = call_of(number);
    call.arch = AUDIT_ARCH_I386;
    ASSERT_EQ(evaluate(filter, call), SECCOMP_RET_KILL_PROCESS) << number;
    constexpr int kX32 = 0x40000000;
    ASSERT_EQ(evaluate(filter, call_of(number | kX32)), SECCOMP_RET_KILL_PROCESS) << number;
  }
}

}  // namespace
}  // namespace symbiont::sandbox
