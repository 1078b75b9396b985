#ifndef SYMBIONT_SANDBOX_CHILD_H_
#define SYMBIONT_SANDBOX_CHILD_H_

// Code between clone and exec. Everything it needs is laid out beforehand in memory it shares with
// the launcher: it allocates nothing, takes no lock and reports through its channel.
//
// Two processes come of one clone: pid 1, and the program's. Both wait: pid 1 until its identities
// and cgroups are set, the program's until it gets a plan. So a launcher can have the next tree
// ready before anybody asks for it.

#include <linux/filter.h>
#include <sched.h>

#include <cstdint>
#include <span>

#include "sandbox/lockdown_spec.h"
#include "sandbox/policy.h"

namespace symbiont::sandbox {

inline constexpr int kSetupFailed = 125;  ///< exit code after a report, or for want of a launcher

/// What the clone itself has to know.
struct InitPlan {
  bool privileged = false;  ///< the namespace's user 0 is the host's: become it first
  bool own_namespaces = true;
  int channel_fd = -1;             ///< SOCK_SEQPACKET to the launcher
  int exit_fd = -1;                ///< an ExitReport at the end
  std::span<const int> group_fds;  ///< cgroup.procs of each group to join
};

/// A ViewEntry as the child reads it.
struct PlannedEntry {
  ViewKind kind = ViewKind::Tree;
  const char* source = nullptr;
  const char* target = nullptr;
  const char* failed = nullptr;  ///< the step's name when it fails
  bool directory = true;
  bool writable = false;
  bool executable = false;
  bool own = false;
  bool from_launcher = false;  ///< its mount comes with the plan, in the order of the entries
  int tree = -1;               ///< the child's own: the detached mount
};

struct ChildPlan {
  const LockdownSpec* spec = nullptr;  ///< its extra_syscalls are not for the child
  RootKind root = RootKind::EmptyAfterExec;
  bool own_root = true;              ///< false: no mount namespace, Landlock stands alone
  const char* mount_data = nullptr;  ///< of the root's tmpfs
  bool read_only_root = true;
  int nice = 0;
  const cpu_set_t* affinity = nullptr;  ///< null: all
  std::span<const sock_filter> filter;  ///< none for EmptyAfterExec
  bool control = true;                  ///< PlanControl becomes kControlFd
  bool keep_capabilities = false;       ///< the program locks itself in and needs them until then
  std::span<char* const> argv;          ///< ends in null
  std::span<char* const> envp;

  // RootKind::View
  std::span<PlannedEntry> view;
  const char* scratch_data = nullptr;
  const char* program = nullptr;
  const char* working_directory = nullptr;
  const char* failed_exec = nullptr;  ///< the step's name
  bool relay = false;                 ///< make a listening socket on kProxyPort for the broker
  bool notify = false;                ///< hand the filter's notifications to the launcher
  bool landlock_network = false;
};

/// Order of the descriptors that come with a plan; the mounts follow.
enum PlanFd : std::uint8_t { PlanProgram, PlanControl, PlanIn, PlanOut, PlanErr, PlanFds };

/// What comes back through the channel: a failure, a descriptor, or that all is in place and the
/// process waits for the launcher's proof before exec. The end of file after it means that exec
/// succeeded.
enum class StepKind : std::uint8_t { Failed, Relay, Scratch, Notifications, Confined };
struct StepReport {
  StepKind kind = StepKind::Failed;
  const char* step = nullptr;  ///< points into the launcher's image or the plan's memory
  int sys_errno = 0;
};

/// Pid 1 of the new namespaces. `plan` is shared memory that the launcher fills before it sends the
/// go message. Never returns.
[[noreturn]] void run_init(const InitPlan& init, const ChildPlan* plan);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_CHILD_H_
