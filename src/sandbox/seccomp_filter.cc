#include "sandbox/seccomp_filter.h"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <initializer_list>
#include <memory>

#include "sandbox/filter_assembler.h"

namespace symbiont::sandbox {
namespace {

// Threads of one process and nothing else: what pthread_create asks of clone(2) in glibc 2.36.
constexpr std::uint32_t kThreadFlags = 0x003d0f00;

constexpr std::initializer_list<int> kInferenceCalls = {
    SYS_futex,         SYS_read,       SYS_write,          SYS_munmap,      SYS_brk,
    SYS_exit,          SYS_exit_group, SYS_rt_sigreturn,   SYS_sched_yield, SYS_restart_syscall,
    SYS_clock_gettime, SYS_ppoll,
#if defined(SYS_poll)
    SYS_poll,
#endif
    SYS_getpid,        SYS_gettid,     SYS_rt_sigprocmask, SYS_mremap,
};
constexpr std::initializer_list<int> kLoadCalls = {
    SYS_lseek,  SYS_fstat,   SYS_fadvise64,    SYS_sysinfo,
    SYS_close,  SYS_seccomp, SYS_rt_sigaction, SYS_set_robust_list,
    SYS_rseq,   SYS_recvmsg, SYS_getrandom,    SYS_sched_getaffinity,
    SYS_writev,
};
constexpr std::initializer_list<int> kProgramStartCalls = {
    SYS_execveat,   SYS_set_tid_address, SYS_prlimit64, SYS_readlinkat,
    SYS_uname,      SYS_getuid,          SYS_geteuid,
#if defined(SYS_arch_prctl)
    SYS_arch_prctl,
#endif
#if defined(SYS_readlink)
    SYS_readlink,
#endif
};

void allow_all(FilterAssembler& out, std::initializer_list<int> calls) {
  for (const int number : calls)
    out.on_call(number, SECCOMP_RET_ALLOW);
}

void memory_rules(FilterAssembler& out, Phase phase, std::uint32_t deny) {
  out.without_bits(SYS_mprotect, 2, PROT_EXEC, deny);
  if (phase == Phase::Inference) {
    out.with_bits(SYS_mmap, 3, MAP_ANONYMOUS, 2, PROT_EXEC, deny);
  } else {
    out.without_bits(SYS_mmap, 2, PROT_EXEC, deny);
  }
  // glibc and libgomp take EINVAL from an advice the kernel does not know and go on.
  constexpr std::uint32_t kInvalid = SECCOMP_RET_ERRNO | EINVAL;
  if (phase == Phase::Inference) {
    out.one_of(SYS_madvise, 2, {MADV_DONTNEED, MADV_FREE}, kInvalid);
  } else {
    out.one_of(
        SYS_madvise, 2,
        {MADV_DONTNEED, MADV_FREE, MADV_WILLNEED, MADV_RANDOM, MADV_SEQUENTIAL, MADV_HUGEPAGE},
        kInvalid);
  }
}

void load_rules(FilterAssembler& out, std::uint32_t deny) {
  allow_all(out, kLoadCalls);
  out.on_call(SYS_clone3,
              SECCOMP_RET_ERRNO | ENOSYS);  // its flags are in memory: make libc use clone
  out.one_of(SYS_clone, 0, {kThreadFlags}, deny);
  out.without_bits(SYS_newfstatat, 3, ~static_cast<std::uint32_t>(0x1000),
                   deny);                        // AT_EMPTY_PATH and nothing else
  out.one_of(SYS_fcntl, 1, {1, 2, 3, 4}, deny);  // F_GETFD F_SETFD F_GETFL F_SETFL
#if defined(SYS_arch_prctl)
  // ggml asks for the tile registers of AMX where the processor has them, and does without.
  out.on_call(SYS_arch_prctl, SECCOMP_RET_ERRNO | EPERM);
#endif
  out.one_of(SYS_prctl, 0, {PR_SET_NAME, PR_SET_VMA, PR_GET_DUMPABLE}, SECCOMP_RET_ERRNO | EINVAL);
}

}  // namespace

Filter build_filter(const FilterOptions& options) {
  const std::uint32_t deny = options.kill_on_violation
                                 ? SECCOMP_RET_KILL_PROCESS
                                 : (SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(EPERM));
  FilterAssembler out;
  allow_all(out, kInferenceCalls);
  for (const int number : options.extra_allowed)
    out.on_call(number, SECCOMP_RET_ALLOW);
#if defined(SYS_futex_waitv)
  out.on_call(SYS_futex_waitv, SECCOMP_RET_ERRNO | ENOSYS);
#endif
  // abort() signals its own thread.
  if (options.only_pid > 0) {
    out.both_equal(SYS_tgkill, {0, static_cast<std::uint32_t>(options.only_pid)}, {2, SIGABRT},
                   deny);
  } else {
    out.one_of(SYS_tgkill, 2, {SIGABRT}, deny);
  }
  if (options.phase == Phase::Program) allow_all(out, kProgramStartCalls);
  if (options.phase != Phase::Inference) {
    load_rules(out, deny);
  }
  memory_rules(out, options.phase, deny);
  return out.take(deny);
}

int install_filter(std::span<const sock_filter> filter) {
  const sock_fprog program{
      static_cast<unsigned short>(filter.size()),  // NOLINT(google-runtime-int): kernel's type
      const_cast<sock_filter*>(filter.data())};    // NOLINT: the kernel only reads it
  return static_cast<int>(
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program));
}

int install_filter_with_listener(std::span<const sock_filter> filter) {
  const sock_fprog program{
      static_cast<unsigned short>(filter.size()),  // NOLINT(google-runtime-int): kernel's type
      const_cast<sock_filter*>(filter.data())};    // NOLINT: the kernel only reads it
  constexpr unsigned kWaitKillable = 1U << 5U;     // since Linux 5.19: a signal does not restart it
  constexpr unsigned kListener = SECCOMP_FILTER_FLAG_NEW_LISTENER;
  auto result =
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kListener | kWaitKillable, &program);
  if (result < 0 && errno == EINVAL)
    result = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kListener, &program);
  return static_cast<int>(result);
}

Result<int> syscall_number(std::string_view name) {
  const int number = seccomp_syscall_resolve_name(std::string(name).c_str());
  if (number < 0)
    return fail(ErrorCode::InvalidArgument, "unknown system call '" + std::string(name) + "'");
  return number;
}

std::string syscall_name(int number) {
  const std::unique_ptr<char, decltype(&std::free)> name(
      seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number), &std::free);
  return name ? std::string(name.get()) : "#" + std::to_string(number);
}

}  // namespace symbiont::sandbox
