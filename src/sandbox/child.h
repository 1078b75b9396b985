#ifndef SYMBIONT_SANDBOX_CHILD_H_
#define SYMBIONT_SANDBOX_CHILD_H_

// Code between clone and exec. Everything it needs is laid out beforehand in a ChildPlan: it
// allocates nothing, takes no lock and reports through a pipe.

#include <linux/filter.h>
#include <sched.h>

#include <span>

#include "sandbox/lockdown_spec.h"
#include "sandbox/policy.h"

namespace symbiont::sandbox {

struct ChildPlan {
  const LockdownSpec* spec = nullptr;
  RootKind root = RootKind::EmptyAfterExec;
  const char* mount_data = nullptr;
  bool read_only_root = true;
  bool privileged =
      false;  ///< the namespace's user 0 is the host's: become it before anything else
  int nice = 0;
  const cpu_set_t* affinity = nullptr;  ///< null: all
  std::span<const sock_filter> filter;  ///< EmptyBeforeExec only
  int go_fd = -1;    ///< one byte when identities and cgroups are set; end of file: give up
  int step_fd = -1;  ///< a StepReport when something fails; end of file after exec
  int exit_fd = -1;  ///< an ExitReport at the end
  int null_fd = -1;
  int control_fd = -1;
  int program_fd = -1;
  char* const* argv = nullptr;
  char* const* envp = nullptr;
};

/// Sent by value through step_fd. `step` points to a string literal of the launcher's own image.
struct StepReport {
  const char* step = nullptr;
  int sys_errno = 0;
};

/// Pid 1 of the new namespaces. Never returns.
[[noreturn]] void run_init(const ChildPlan& plan);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_CHILD_H_
