#ifndef SYMBIONT_SANDBOX_CONFINE_H_
#define SYMBIONT_SANDBOX_CONFINE_H_

// The irreversible steps, one function each. They allocate nothing and take no lock, so that both a
// worker after exec and a child between clone and exec can call them. Each returns nullptr, or the
// name of the step that failed with errno set.

#include "sandbox/lockdown_spec.h"

namespace symbiont::sandbox {

/// Replaces the whole mount tree by one tmpfs, empty but for nothing, read-only unless
/// `scratch_bytes` > 0. `mount_data` is the preformatted "size=..,nr_inodes=..,mode=.." text. Needs
/// CAP_SYS_ADMIN in the user namespace.
[[nodiscard]] const char* enter_empty_root(const char* mount_data, bool read_only);

/// Resource limits of `spec`, plus: no core files, no locked memory, no message queues, 64
/// descriptors.
[[nodiscard]] const char* apply_rlimits(const LockdownSpec& spec);

/// Takes the identity of `spec`, empties every capability set and the bounding set, and sets
/// no_new_privs.
[[nodiscard]] const char* drop_privileges(const LockdownSpec& spec);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_CONFINE_H_
