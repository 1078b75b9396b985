#ifndef SYMBIONT_SANDBOX_ROOT_BUILDER_H_
#define SYMBIONT_SANDBOX_ROOT_BUILDER_H_

// The root of RootKind::View, put together between clone and exec: no allocation, no locks. Each
// function returns the name of the step that failed, with errno, or null.

#include <span>

#include "sandbox/child.h"

namespace symbiont::sandbox {

/// A detached copy of the mount of `path`, with its restrictions set. The launcher calls it with
/// privilege and an identity map (`map_user_ns` >= 0), the child without. Negative on failure.
[[nodiscard]] int open_tree_for(const PlannedEntry& entry, int map_user_ns);

/// Opens what the launcher has not; after this the host's paths are not looked at again.
[[nodiscard]] const char* open_trees(std::span<PlannedEntry> view);

/// Builds a root of the opened trees on a new tmpfs, enters it and lets go of the host's tree.
[[nodiscard]] const char* enter_view(std::span<PlannedEntry> view,
                                     const char* root_data,
                                     const char* scratch_data);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_ROOT_BUILDER_H_
