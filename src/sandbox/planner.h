#ifndef SYMBIONT_SANDBOX_PLANNER_H_
#define SYMBIONT_SANDBOX_PLANNER_H_

#include "sandbox/policy.h"
#include "sandbox/prepared_tree.h"
#include "sandbox/start.h"

namespace symbiont::sandbox {

// Pid 1, the program, and one thread of the C library.
inline constexpr std::uint32_t kProcessSlack = 3;

/// Writes what `policy` asks into the memory that the waiting child of `tree` shares. `control`:
/// the program gets a control socket. False when the arena is full.
[[nodiscard]] bool write_plan(const Policy& policy,
                              const HostFacts& host,
                              PreparedTree& tree,
                              bool control);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_PLANNER_H_
