#ifndef SYMBIONT_SANDBOX_LOCKDOWN_H_
#define SYMBIONT_SANDBOX_LOCKDOWN_H_

// What a confined process does to itself. A worker calls these after exec, once its libraries are
// loaded and before any untrusted byte is read. Each call is irreversible.

#include <cstdint>

#include "base/result.h"

namespace symbiont::sandbox {

/// The worker's control socket: the only descriptor it keeps (0, 1 and 2 are /dev/null or closed).
inline constexpr int kControlFd = 3;

/// Enters the empty root, closes every descriptor but kControlFd, gives up every identity and
/// capability, forbids new privileges, applies Landlock without rules, and installs the load filter
/// (lock 1). What it needs to know (identity, scratch size, nice, rlimits, extra system calls)
/// comes from the launcher in the environment variable SYMBIONT_LOCKDOWN, which it removes with all
/// others. Must run single-threaded. On error the process must exit.
[[nodiscard]] Status lock_before_load();

/// Replaces the load filter by the inference filter (lock 2) on all threads: no new threads, no
/// descriptors, no mappings of files. Call after one warm-up decode.
[[nodiscard]] Status lock_before_inference();

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_LOCKDOWN_H_
