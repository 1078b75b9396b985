#include "sandbox/seccomp_filter.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <initializer_list>
#include <memory>

namespace symbiont::sandbox {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kAuditArch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kAuditArch = AUDIT_ARCH_AARCH64;
#else
#error "no system call table for this architecture"
#endif
constexpr std::uint32_t kX32Bit = 0x40000000;
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

/// Appends instructions; every rule leaves the accumulator holding the system call number.
class Assembler {
 public:
  void load(std::size_t offset) {
    emit(BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<std::uint32_t>(offset));
  }
  void ret(std::uint32_t action) { emit(BPF_RET | BPF_K, 0, 0, action); }
  void jump(std::uint16_t test, std::uint32_t value, std::uint8_t yes, std::uint8_t no) {
    emit(static_cast<std::uint16_t>(BPF_JMP | test | BPF_K), yes, no, value);
  }

  void on_call(int number, std::uint32_t action) {
    jump(BPF_JEQ, static_cast<std::uint32_t>(number), 0, 1);
    ret(action);
  }
  /// Allows `number` when argument `index` has high half 0 and none of `forbidden` set, else
  /// `otherwise`.
  void without_bits(int number, unsigned index, std::uint32_t forbidden, std::uint32_t otherwise) {
    jump(BPF_JEQ, static_cast<std::uint32_t>(number), 0, 6);
    load(high_half(index));
    jump(BPF_JEQ, 0, 0, 3);
    load(low_half(index));
    jump(BPF_JSET, forbidden, 1, 0);
    ret(SECCOMP_RET_ALLOW);
    ret(otherwise);
  }
  /// Allows `number` when all of `required` are set in argument `index` and none of `forbidden` in
  /// `other_index`.
  void with_bits(int number,
                 unsigned index,
                 std::uint32_t required,
                 unsigned other_index,
                 std::uint32_t forbidden,
                 std::uint32_t otherwise) {
    jump(BPF_JEQ, static_cast<std::uint32_t>(number), 0, 6);
    load(low_half(other_index));
    jump(BPF_JSET, forbidden, 3, 0);
    load(low_half(index));
    jump(BPF_JSET, required, 0, 1);
    ret(SECCOMP_RET_ALLOW);
    ret(otherwise);
  }
  /// Allows `number` when argument `index` equals one of `values`, else `otherwise`.
  void one_of(int number,
              unsigned index,
              std::initializer_list<std::uint32_t> values,
              std::uint32_t otherwise) {
    const auto count = static_cast<std::uint8_t>(values.size());
    jump(BPF_JEQ, static_cast<std::uint32_t>(number), 0, static_cast<std::uint8_t>(count + 5));
    load(high_half(index));
    jump(BPF_JEQ, 0, 0, static_cast<std::uint8_t>(count + 1));
    load(low_half(index));
    std::uint8_t left = count;
    for (const std::uint32_t value : values) {
      jump(BPF_JEQ, value, left, 0);
      --left;
    }
    ret(otherwise);
    ret(SECCOMP_RET_ALLOW);
  }

  Filter take() { return std::move(code_); }

 private:
  static std::size_t low_half(unsigned index) {
    return offsetof(seccomp_data, args) +
           index * sizeof(std::uint64_t);  // little-endian hosts only
  }
  static std::size_t high_half(unsigned index) { return low_half(index) + sizeof(std::uint32_t); }
  void emit(std::uint16_t code, std::uint8_t yes, std::uint8_t no, std::uint32_t value) {
    code_.push_back(sock_filter{code, yes, no, value});
  }

  Filter code_;
};

void allow_all(Assembler& out, std::initializer_list<int> calls) {
  for (const int number : calls)
    out.on_call(number, SECCOMP_RET_ALLOW);
}

void memory_rules(Assembler& out, Phase phase, std::uint32_t deny) {
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

void load_rules(Assembler& out, std::uint32_t deny) {
  allow_all(out, kLoadCalls);
  out.on_call(SYS_clone3,
              SECCOMP_RET_ERRNO | ENOSYS);  // its flags are in memory: make libc use clone
  out.one_of(SYS_clone, 0, {kThreadFlags}, deny);
  out.without_bits(SYS_newfstatat, 3, ~static_cast<std::uint32_t>(0x1000),
                   deny);                        // AT_EMPTY_PATH and nothing else
  out.one_of(SYS_fcntl, 1, {1, 2, 3, 4}, deny);  // F_GETFD F_SETFD F_GETFL F_SETFL
  out.one_of(SYS_prctl, 0, {PR_SET_NAME, PR_SET_VMA, PR_GET_DUMPABLE}, SECCOMP_RET_ERRNO | EINVAL);
}

}  // namespace

Filter build_filter(const FilterOptions& options) {
  const std::uint32_t deny = options.kill_on_violation
                                 ? SECCOMP_RET_KILL_PROCESS
                                 : (SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(EPERM));
  Assembler out;
  out.load(offsetof(seccomp_data, arch));
  out.jump(BPF_JEQ, kAuditArch, 1, 0);
  out.ret(SECCOMP_RET_KILL_PROCESS);
  out.load(offsetof(seccomp_data, nr));
  out.jump(BPF_JGE, kX32Bit, 0, 1);
  out.ret(SECCOMP_RET_KILL_PROCESS);
  allow_all(out, kInferenceCalls);
  for (const int number : options.extra_allowed)
    out.on_call(number, SECCOMP_RET_ALLOW);
#if defined(SYS_futex_waitv)
  out.on_call(SYS_futex_waitv, SECCOMP_RET_ERRNO | ENOSYS);
#endif
  // Only pid 2 of its own namespace (the worker itself) can be meant: abort() signals its own
  // thread.
  out.one_of(SYS_tgkill, 2, {6}, deny);
  if (options.phase == Phase::Program) allow_all(out, kProgramStartCalls);
  if (options.phase != Phase::Inference) {
    load_rules(out, deny);
  }
  memory_rules(out, options.phase, deny);
  out.ret(deny);
  return out.take();
}

int install_filter(std::span<const sock_filter> filter) {
  const sock_fprog program{
      static_cast<unsigned short>(filter.size()),  // NOLINT(google-runtime-int): kernel's type
      const_cast<sock_filter*>(filter.data())};    // NOLINT: the kernel only reads it
  return static_cast<int>(
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program));
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
