#ifndef SYMBIONT_SANDBOX_LOCKDOWN_SPEC_H_
#define SYMBIONT_SANDBOX_LOCKDOWN_SPEC_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace symbiont::sandbox {

/// What a confined process needs to lock itself down; the launcher makes it from a Policy. Plain
/// data.
struct LockdownSpec {
  uid_t uid = 0;  ///< identity to take, inside the user namespace
  gid_t gid = 0;
  bool change_identity =
      false;  ///< false without privilege: the only mapped identity is the present one
  bool own_namespaces = true;       ///< false: it stays in the host's, and keeps the host's root
  std::uint64_t scratch_bytes = 0;  ///< 0: read-only root
  std::uint64_t scratch_inodes = 1024;
  std::uint64_t max_file_bytes = 0;
  std::uint64_t data_bytes = 0;        ///< RLIMIT_DATA, 0 = none
  std::uint64_t cpu_seconds = 0;       ///< RLIMIT_CPU, 0 = none
  std::uint32_t max_processes = 0;     ///< RLIMIT_NPROC, 0 = none
  std::uint32_t max_descriptors = 64;  ///< RLIMIT_NOFILE; not encoded: a worker has the default
  bool undumpable = true;
  bool kill_on_violation = true;
  bool landlock = true;
  std::vector<int> extra_syscalls;

  bool operator==(const LockdownSpec&) const = default;
};

/// Name of the environment variable that carries a spec to our worker.
inline constexpr const char* kLockdownVariable = "SYMBIONT_LOCKDOWN";

[[nodiscard]] std::string encode(const LockdownSpec& spec);
[[nodiscard]] Result<LockdownSpec> decode_lockdown_spec(std::string_view text);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_LOCKDOWN_SPEC_H_
