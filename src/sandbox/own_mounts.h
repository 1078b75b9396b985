#ifndef SYMBIONT_SANDBOX_OWN_MOUNTS_H_
#define SYMBIONT_SANDBOX_OWN_MOUNTS_H_

#include <sys/types.h>

#include <vector>

#include "base/unique_fd.h"

namespace symbiont::sandbox {

/// A user namespace that maps user and group 0 to `outside`, held by nothing but the descriptor;
/// invalid where it cannot be made.
[[nodiscard]] UniqueFd make_identity_map(uid_t outside);

class PreparedTree;

/// Opens, with the launcher's privilege, the trees of the plan whose files are to be the program's
/// own: on an identity-mapped mount, files of user 0 belong to the program's identity and what it
/// makes belongs to user 0 (Linux 5.12, and a file system that can). Marks those entries; the
/// others, and those whose file system cannot, are left to the child, which sees their owners as
/// they are.
[[nodiscard]] std::vector<UniqueFd> open_own_trees(PreparedTree& prepared);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_OWN_MOUNTS_H_
