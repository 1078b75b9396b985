#ifndef SYMBIONT_SANDBOX_TREE_FIGURES_H_
#define SYMBIONT_SANDBOX_TREE_FIGURES_H_

// What the launcher can tell of a tree that it has started.

#include <cstddef>
#include <cstdint>
#include <optional>

#include "sandbox/notifier.h"
#include "sandbox/protocol.h"
#include "sandbox/start.h"

namespace symbiont::sandbox {

/// What its group has used. No group: nothing but zeros.
[[nodiscard]] ReplyMessage usage_of(const ConfinedProcess& process);

/// Processes of a tree beside pid 1; kMaxCounted at most.
inline constexpr std::size_t kMaxCounted = 4096;
[[nodiscard]] std::size_t count_processes(const ConfinedProcess& process);

/// Memory that a process holds for itself, in bytes; 0 when it is gone.
[[nodiscard]] std::uint64_t held_bytes(pid_t pid);

/// How full its temporary files are.
void add_scratch(const ConfinedProcess& process, ReplyMessage& reply);

/// What the notifier refused, and the threads and processes that the kernel did. It counts those
/// without their time: they explain a failure only where nothing was denied by name.
void add_denials(const std::optional<Notifier>& notifier,
                 std::uint64_t refused_tasks,
                 ReplyMessage& reply);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_TREE_FIGURES_H_
