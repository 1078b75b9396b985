#ifndef SYMBIONT_SANDBOX_NAMESPACES_H_
#define SYMBIONT_SANDBOX_NAMESPACES_H_

#include <sched.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <csignal>

namespace symbiont::sandbox {

/// All but the network's, which a profile may leave to the host.
inline constexpr unsigned kNamespaces = unsigned{CLONE_NEWUSER} | unsigned{CLONE_NEWPID} |
                                        unsigned{CLONE_NEWNS} | unsigned{CLONE_NEWIPC} |
                                        unsigned{CLONE_NEWUTS} | unsigned{CLONE_NEWCGROUP};

/// fork(2) into new namespaces; fills `pidfd` when there is one. By clone(2): container engines
/// hide clone3(2), whose flags they cannot check.
[[nodiscard]] inline pid_t clone_with(unsigned namespaces, int* pidfd) {
  const unsigned flags = namespaces | (pidfd != nullptr ? unsigned{CLONE_PIDFD} : 0U) | SIGCHLD;
  return static_cast<pid_t>(::syscall(SYS_clone, flags, nullptr, pidfd, nullptr, nullptr));
}

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_NAMESPACES_H_
