#ifndef SYMBIONT_SANDBOX_LANDLOCK_H_
#define SYMBIONT_SANDBOX_LANDLOCK_H_

#include <span>

namespace symbiont::sandbox {

struct PlannedEntry;

/// Landlock version of this kernel, 0 when there is none. Allocates nothing.
[[nodiscard]] int landlock_abi();

/// Denies this process every file right, TCP bind and connect, and signals and abstract sockets to
/// the outside, as far as the kernel's version knows them; `executable_fd` >= 0 may still be
/// executed and read. Returns 0 or -1 with errno. Does not stop TCP fast open, MPTCP, UDP or
/// pathname sockets: those are the network namespace's and seccomp's part.
[[nodiscard]] int landlock_deny_all(int executable_fd);

/// The same, but for what `view` shows: call it inside the new root, or with `host_tree` where
/// there is none. `deny_network` denies TCP too.
[[nodiscard]] int landlock_view(std::span<const PlannedEntry> view,
                                bool deny_network,
                                bool host_tree);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_LANDLOCK_H_
