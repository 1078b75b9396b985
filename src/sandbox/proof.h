#ifndef SYMBIONT_SANDBOX_PROOF_H_
#define SYMBIONT_SANDBOX_PROOF_H_

// Reads a confined process from outside and compares it with what was asked. Nothing the process
// says is believed.

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "symbiont/sandbox.h"

#include "base/result.h"
#include "sandbox/policy.h"
#include "sandbox/view.h"

namespace symbiont::sandbox {

struct ProofExpectation {
  pid_t pid = 0;
  bool own_identity = false;  ///< it must have left every identity of ours
  /// False where the host has none to give: namespaces and mounts are not looked at, nor is what
  /// only the owner of its user namespace may see.
  bool own_namespaces = true;
  bool read_only_root = true;
  std::uint64_t scratch_bytes = 0;
  std::string memory_cgroup;  ///< last part of its memory group's path; empty: none expected
  bool undumpable = true;

  std::uint64_t max_file_bytes = 0;  ///< 0: not looked at

  // RootKind::View: its mounts are compared with the view. What a running program may itself have
  // changed is not looked at (its descriptors, whether it can be dumped).
  bool any_program = false;
  bool own_network = true;
  std::vector<ViewEntry> view;
};

/// What the launcher gave to a process.
struct Given {
  bool identity = false;    ///< one of its own
  bool namespaces = true;   ///< of its own
  std::string cgroup = {};  ///< of its memory, empty for none
};

/// What a process of `policy` must look like.
[[nodiscard]] ProofExpectation expect_confined(const Policy& policy, pid_t pid, Given given);

/// Looks at: seccomp mode and filters, no_new_privs, five capability sets, identities and groups,
/// seven namespaces, the mount table, the root directory, open descriptors, the environment, the
/// tracer, limits of core and file size, and the memory cgroup. Fails only when the process is
/// gone.
[[nodiscard]] Result<std::vector<ProofItem>> collect_proof(const ProofExpectation& expectation);

/// FailedPrecondition that names every item that does not hold.
[[nodiscard]] Status check_proof(const std::vector<ProofItem>& items);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_PROOF_H_
