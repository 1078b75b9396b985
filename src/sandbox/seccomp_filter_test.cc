// Evaluates the filters as pure functions: for every system call number, on every architecture, in
// every phase.

#include "sandbox/seccomp_filter.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <set>

#include <gtest/gtest.h>

#include "sandbox/bpf_for_test.h"
#include "sandbox/filter_assembler.h"

namespace symbiont::sandbox {
namespace {

constexpr int kHighestNumber = 600;  // past the last one of any kernel so far

std::set<int> allowed_with_zero_arguments(Phase phase) {
  const Filter filter = build_filter({phase, true, {}});
  std::set<int> allowed;
  for (int number = 0; number < kHighestNumber; ++number) {
    if (evaluate(filter, call_of(number)) == SECCOMP_RET_ALLOW) allowed.insert(number);
  }
  return allowed;
}

TEST(FilterAssembler, FindsTheRuleOfEveryNumberAlsoPastAShortJump) {
  constexpr int kRules = 700;  // a conditional jump spans 255 instructions
  FilterAssembler out;
  for (int number = 0; number < kRules; number += 2)
    out.on_call(number, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(number));
  const Filter filter = out.take(SECCOMP_RET_KILL_PROCESS);
  for (int number = 0; number < kRules + 1; ++number) {
    const bool has_rule = number % 2 == 0 && number < kRules;
    EXPECT_EQ(evaluate(filter, call_of(number)),
              has_rule ? SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(number)
                       : SECCOMP_RET_KILL_PROCESS)
        << number;
  }
}

TEST(FilterAssembler, TheFirstRuleForANumberCounts) {
  FilterAssembler out;
  out.on_call(SYS_read, SECCOMP_RET_KILL_PROCESS);
  out.one_of(SYS_read, 0, {0}, SECCOMP_RET_ALLOW);
  out.on_call(SYS_read, SECCOMP_RET_ALLOW);
  EXPECT_EQ(evaluate(out.take(SECCOMP_RET_ALLOW), call_of(SYS_read)), SECCOMP_RET_KILL_PROCESS);
}

TEST(SeccompFilter, InferenceAllowsExactlyThis) {
  const std::set<int> expected = {
      SYS_read,        SYS_write,          SYS_poll,   SYS_munmap,          SYS_brk,
      SYS_mprotect,    SYS_futex,          SYS_exit,   SYS_exit_group,      SYS_rt_sigreturn,
      SYS_sched_yield, SYS_getpid,         SYS_gettid, SYS_restart_syscall, SYS_clock_gettime,
      SYS_ppoll,       SYS_rt_sigprocmask, SYS_mremap};
  EXPECT_EQ(allowed_with_zero_arguments(Phase::Inference), expected);
}

TEST(SeccompFilter, EachPhaseAllowsLessThanTheOneBefore) {
  const auto program = allowed_with_zero_arguments(Phase::Program);
  const auto load = allowed_with_zero_arguments(Phase::Load);
  const auto inference = allowed_with_zero_arguments(Phase::Inference);
  EXPECT_TRUE(std::ranges::includes(program, load));
  EXPECT_TRUE(std::ranges::includes(load, inference));
  EXPECT_LT(inference.size(), load.size());
}

TEST(SeccompFilter, NoPhaseOpensConnectsOrExecutes) {
  for (const Phase phase : {Phase::Load, Phase::Inference}) {
    const auto allowed = allowed_with_zero_arguments(phase);
    for (const int number :
         {SYS_open,       SYS_openat,       SYS_openat2, SYS_creat,       SYS_socket,
          SYS_connect,    SYS_sendto,       SYS_execve,  SYS_execveat,    SYS_fork,
          SYS_vfork,      SYS_clone,        SYS_clone3,  SYS_ptrace,      SYS_io_uring_setup,
          SYS_mount,      SYS_unshare,      SYS_setns,   SYS_bpf,         SYS_kill,
          SYS_tkill,      SYS_memfd_create, SYS_ioctl,   SYS_pidfd_getfd, SYS_process_vm_readv,
          SYS_userfaultfd}) {
      EXPECT_FALSE(allowed.contains(number)) << syscall_name(number);
    }
  }
}

TEST(SeccompFilter, ForeignAbisAreKilledWhateverTheProfileSays) {
  for (const bool kill : {true, false}) {
    const Filter filter = build_filter({Phase::Load, kill, {}});
    for (int number = 0; number < kHighestNumber; ++number) {
      seccomp_data call = call_of(number);
      call.arch = AUDIT_ARCH_I386;
      EXPECT_EQ(evaluate(filter, call), SECCOMP_RET_KILL_PROCESS);
      EXPECT_EQ(evaluate(filter, call_of(number | 0x40000000)), SECCOMP_RET_KILL_PROCESS);
    }
  }
}

struct ArgumentCase {
  const char* what;
  Phase phase;
  seccomp_data call;
  bool allowed;
};

TEST(SeccompFilter, ChecksArguments) {
  const std::uint64_t high = 1ULL << 32U;
  const ArgumentCase cases[] = {
      {"anonymous mapping", Phase::Inference,
       call_of(SYS_mmap, {0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS}), true},
      {"file mapping", Phase::Inference, call_of(SYS_mmap, {0, 4096, PROT_READ, MAP_PRIVATE}),
       false},
      {"file mapping", Phase::Load, call_of(SYS_mmap, {0, 4096, PROT_READ, MAP_PRIVATE}), true},
      {"executable mapping", Phase::Load, call_of(SYS_mmap, {0, 4096, PROT_EXEC, MAP_PRIVATE}),
       false},
      {"executable anonymous mapping", Phase::Inference,
       call_of(SYS_mmap, {0, 1, PROT_EXEC, MAP_ANONYMOUS}), false},
      {"protection with high bits", Phase::Load,
       call_of(SYS_mmap, {0, 4096, PROT_READ | high, MAP_PRIVATE}), false},
      {"read-only protection", Phase::Inference, call_of(SYS_mprotect, {0, 1, PROT_READ}), true},
      {"executable protection", Phase::Inference, call_of(SYS_mprotect, {0, 1, PROT_EXEC}), false},
      {"executable protection", Phase::Load, call_of(SYS_mprotect, {0, 1, PROT_EXEC | PROT_READ}),
       false},
      {"give pages back", Phase::Inference, call_of(SYS_madvise, {0, 1, MADV_DONTNEED}), true},
      {"a thread", Phase::Load, call_of(SYS_clone, {0x3d0f00}), true},
      {"a thread", Phase::Inference, call_of(SYS_clone, {0x3d0f00}), false},
      {"a process", Phase::Load, call_of(SYS_clone, {17}), false},
      {"a thread in a new user namespace", Phase::Load, call_of(SYS_clone, {0x3d0f00 | 0x10000000}),
       false},
      {"fstat by newfstatat", Phase::Load, call_of(SYS_newfstatat, {3, 0, 0, 0x1000}), true},
      {"stat without following", Phase::Load, call_of(SYS_newfstatat, {3, 0, 0, 0x100}), false},
      {"descriptor flags", Phase::Load, call_of(SYS_fcntl, {3, 1}), true},
      {"duplicate a descriptor", Phase::Load, call_of(SYS_fcntl, {3, 0}), false},
      {"abort", Phase::Inference, call_of(SYS_tgkill, {2, 2, 6}), true},
      {"another signal", Phase::Inference, call_of(SYS_tgkill, {2, 2, 9}), false},
  };
  for (const auto& test_case : cases) {
    const Filter filter = build_filter({test_case.phase, true, {}});
    EXPECT_EQ(evaluate(filter, test_case.call) == SECCOMP_RET_ALLOW, test_case.allowed)
        << test_case.what;
  }
}

TEST(SeccompFilter, WithoutAPidNamespaceOnlyTheProcessItselfMayBeToldToAbort) {
  const Filter filter = build_filter({Phase::Inference, true, {}, 4321});
  EXPECT_EQ(evaluate(filter, call_of(SYS_tgkill, {4321, 4322, SIGABRT})), SECCOMP_RET_ALLOW);
  EXPECT_EQ(evaluate(filter, call_of(SYS_tgkill, {4320, 4320, SIGABRT})), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(evaluate(filter, call_of(SYS_tgkill, {4321, 4322, SIGKILL})), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(evaluate(filter, call_of(SYS_getpid)), SECCOMP_RET_ALLOW) << "the next rule is reached";
}

TEST(SeccompFilter, AProfileCanAddACallOrAskForEperm) {
  EXPECT_EQ(
      evaluate(build_filter({Phase::Inference, true, {SYS_getrusage}}), call_of(SYS_getrusage)),
      SECCOMP_RET_ALLOW);
  EXPECT_EQ(evaluate(build_filter({Phase::Inference, false, {}}), call_of(SYS_socket)),
            SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(EPERM));
}

#if defined(SYS_arch_prctl)
TEST(SeccompFilter, AskingForTileRegistersIsRefusedWithoutEndingTheWorker) {
  constexpr std::uint32_t kRequestStatePermission = 0x1023;
  EXPECT_EQ(evaluate(build_filter({Phase::Load, true, {}}),
                     call_of(SYS_arch_prctl, {kRequestStatePermission, 18})),
            SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(EPERM));
}
#endif

TEST(SeccompFilter, NamesAndNumbers) {
  EXPECT_EQ(syscall_number("openat").value_or(-1), SYS_openat);
  EXPECT_EQ(syscall_name(SYS_openat), "openat");
  EXPECT_EQ(syscall_name(99999), "#99999");
  const auto unknown = syscall_number("opne");
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().message(), "unknown system call 'opne'");
}

}  // namespace
}  // namespace symbiont::sandbox
