#ifndef SYMBIONT_SANDBOX_INIT_H_
#define SYMBIONT_SANDBOX_INIT_H_

// Pid 1 of the namespaces, or the process in its place where there are none: it starts the
// program's process, reaps what the program leaves and reports its end. Like all between clone and
// exec it allocates nothing and takes no lock.

#include <sys/types.h>

#include <optional>

#include "sandbox/child.h"

namespace symbiont::sandbox {

/// The identity outside, as root: one of a range of its own that no account uses (systemd's
/// container range starts at 524288, dynamic users end at 65519). Each tree of a launcher gets
/// another: the highest pid_max (PID_MAX_LIMIT) is the count, so that pids tell them apart. The
/// next range of the same size is for those who end a tree.
inline constexpr uid_t kOutsideBase = 2'000'000'000;
inline constexpr uid_t kOutsideCount = 4'194'304;
[[nodiscard]] uid_t outside_id_of(pid_t init);

/// The launcher's death ends this process and the tree. Before anything else; returns the name of a
/// step that failed, or nullptr.
[[nodiscard]] const char* tie_to_launcher(const InitPlan& init);

/// Becomes root of the new namespaces and makes what happens in them invisible outside.
[[nodiscard]] const char* enter_namespaces(const InitPlan& init);

/// Keeps exit_fd and the channel and installs pid 1's own filter; returns the name of a step that
/// failed, or nullptr. After it only attend_program() is possible.
[[nodiscard]] const char* settle_init(const InitPlan& init);

/// Waits for the program's end, ends the rest of the tree and reports. Without namespaces SIGTERM
/// is the order to end all, and stands for the death of pid 1. `identity`: of the tree, if it has
/// one of its own.
[[noreturn]] void attend_program(const InitPlan& init,
                                 std::optional<uid_t> identity,
                                 pid_t program);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_INIT_H_
