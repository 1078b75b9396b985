#ifndef SYMBIONT_SANDBOX_START_H_
#define SYMBIONT_SANDBOX_START_H_

// The launcher's part: from a Policy to a confined process. Only symbiont-launcher, a
// single-threaded process, calls this.

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "symbiont/verdict.h"

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/cgroup.h"
#include "sandbox/policy.h"

namespace symbiont::sandbox {

/// What pid 1 of the namespace reports when the program has ended.
struct ExitReport {
  std::int32_t wait_status = 0;
  std::int32_t max_rss_kib = 0;
  std::int64_t cpu_time_us = 0;
  std::int64_t written_bytes = 0;  ///< to block devices, by it and the children it waited for
};

/// The identity that a program has inside its user namespace.
inline constexpr uid_t kInsideId = 1000;

/// A started process tree. `init` is pid 1 of its namespace; killing it kills everything.
struct ConfinedProcess {
  UniqueFd init_pidfd;
  pid_t init_pid = -1;
  bool own_namespaces = true;  ///< false: init does the killing, when told by SIGTERM
  pid_t program_pid = -1;
  UniqueFd program_pidfd;
  UniqueFd exit_pipe;      ///< an ExitReport, then end of file
  UniqueFd relay;          ///< network Restricted: the listening socket inside
  UniqueFd scratch;        ///< its temporary files, to ask how full they are
  UniqueFd notifications;  ///< of the system call filter
  std::optional<Cgroup> cgroup;
};

/// A failed start: which step, with what errno. Nothing is left behind.
struct StartFailure {
  std::string step;
  int sys_errno = 0;
  [[nodiscard]] Error to_error() const;
};

/// What this host offers the launcher; found once.
struct HostFacts {
  CgroupHost cgroups;
  int landlock_abi = 0;
  bool privileged = false;  ///< may give a process an identity of its own
  /// False (many containers): Landlock, system call filters, limits and that identity stand alone.
  bool namespaces = false;
};
[[nodiscard]] HostFacts find_host_facts();

/// How each control of `policy` will be held on this host. Pure.
[[nodiscard]] ControlReport plan_controls(const Policy& policy, const HostFacts& host);

/// Whether a start without namespaces makes any sense: what they alone could hold and nothing else
/// holds at all is Unavailable in `controls`, and that is refused even where degraded will do.
[[nodiscard]] bool can_start(const HostFacts& host, const ControlReport& controls);

/// What comes with a spawn request; invalid ones become /dev/null.
struct ProgramFds {
  UniqueFd program;  ///< executed, but for RootKind::View
  UniqueFd control;  ///< kControlFd of the program, when valid
  UniqueFd in;
  UniqueFd out;
  UniqueFd err;
};

class PreparedTree;

/// Starts `policy.program` in `tree`.
[[nodiscard]] std::expected<ConfinedProcess, StartFailure> start_confined(const Policy& policy,
                                                                          const HostFacts& host,
                                                                          PreparedTree tree,
                                                                          const ProgramFds& fds);

/// The second half of that: carries out the plan that lies in `tree`. A program (RootKind::View)
/// whose process, seen from outside, is not confined as `policy` asks never begins: EPERM, and the
/// step says what was found.
[[nodiscard]] std::expected<ConfinedProcess, StartFailure> start_planned(const Policy& policy,
                                                                         const HostFacts& host,
                                                                         PreparedTree tree,
                                                                         const ProgramFds& fds);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_START_H_
