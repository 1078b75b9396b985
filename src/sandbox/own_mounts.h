#ifndef SYMBIONT_SANDBOX_OWN_MOUNTS_H_
#define SYMBIONT_SANDBOX_OWN_MOUNTS_H_

#include <sys/types.h>

#include <span>
#include <vector>

#include "base/unique_fd.h"
#include "sandbox/child.h"

namespace symbiont::sandbox {

/// Opens, with the launcher's privilege, the trees of `view` whose files are to be the program's
/// own: on an identity-mapped mount, files of user 0 belong to `outside` and what `outside` makes
/// belongs to user 0 (Linux 5.12, and a file system that can). Marks those entries; the others, and
/// those whose file system cannot, are left to the child, which sees their owners as they are.
[[nodiscard]] std::vector<UniqueFd> open_own_trees(std::span<PlannedEntry> view, uid_t outside);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_OWN_MOUNTS_H_
