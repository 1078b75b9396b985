#ifndef SYMBIONT_SANDBOX_SECCOMP_FILTER_H_
#define SYMBIONT_SANDBOX_SECCOMP_FILTER_H_

// Seccomp filters as data. A filter is an allow-list; what it does not name is denied. Building one
// calls nothing of the kernel, so that tests can evaluate it for every system call number.

#include <linux/filter.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "symbiont/sandbox_profile.h"

#include "base/result.h"

namespace symbiont::sandbox {

/// Which part of its life a confined process is in.
enum class Phase : std::uint8_t {
  Program,    ///< a static program between its exec and its end
  Load,       ///< our worker: reads a model from a descriptor, may start threads and receive one
              ///< descriptor
  Inference,  ///< our worker: computes, reads and writes its socket
};

struct FilterOptions {
  Phase phase = Phase::Load;
  bool kill_on_violation = true;   ///< kill the process, else EPERM
  std::vector<int> extra_allowed;  ///< system call numbers a profile adds, without argument checks
  int only_pid = 0;                ///< the one process that may be told to abort; 0: any
};

using Filter = std::vector<sock_filter>;

/// The filter of a phase. Foreign architectures and the x32 ABI are killed always; clone3 and
/// futex_waitv fail with ENOSYS, so that libraries fall back to calls whose arguments can be
/// checked. PROT_EXEC is denied everywhere.
[[nodiscard]] Filter build_filter(const FilterOptions& options);

struct ProgramFilterOptions {
  bool kill_on_violation = true;  ///< without `notify`: kill the process, else EPERM
  bool notify = false;            ///< denied calls are told to the launcher, which answers or kills
  bool report_files = false;      ///< with `notify`: every open(2) is told too
  NetworkAccessMode network = NetworkAccessMode::None;
  std::vector<std::string> allowed;  ///< in place of the baseline; empty: the baseline
};

/// The filter of any program. New processes are always asked for (`notify`) or refused with EAGAIN;
/// set-id modes, namespaces, and sockets beyond `network` are denied whatever `allowed` names.
[[nodiscard]] Filter build_program_filter(const ProgramFilterOptions& options);

/// Installs `filter` on all threads of this process. Needs no_new_privs. Allocates nothing.
[[nodiscard]] int install_filter(std::span<const sock_filter> filter);
/// The same for the one thread of a process; returns the descriptor of its notifications.
[[nodiscard]] int install_filter_with_listener(std::span<const sock_filter> filter);

/// Number of a system call by name ("openat") on this architecture; InvalidArgument names an
/// unknown one.
[[nodiscard]] Result<int> syscall_number(std::string_view name);
/// Name of a number, "#NNN" when unknown.
[[nodiscard]] std::string syscall_name(int number);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_SECCOMP_FILTER_H_
