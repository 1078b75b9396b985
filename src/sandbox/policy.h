#ifndef SYMBIONT_SANDBOX_POLICY_H_
#define SYMBIONT_SANDBOX_POLICY_H_

// A profile turned into what the launcher is to do. Plain data; building one touches nothing.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "symbiont/sandbox_profile.h"

namespace symbiont::sandbox {

enum class RootKind : std::uint8_t {
  EmptyAfterExec,   ///< the program sees the host's libraries at exec, then locks itself into an
                    ///< empty root (our worker)
  EmptyBeforeExec,  ///< the root is empty before exec: static programs only
};

struct Policy {
  std::filesystem::path program;       ///< executed by descriptor
  std::vector<std::string> arguments;  ///< argv[1..]
  RootKind root = RootKind::EmptyAfterExec;
  std::uint64_t memory_bytes = 0;
  double cpu_cores = 1.0;
  std::uint64_t scratch_bytes = 0;  ///< 0: the root is read-only and holds nothing
  std::uint64_t max_file_bytes = 0;
  std::uint32_t threads = 1;  ///< of the engine; accounted in the process limit
  std::uint32_t child_processes = 0;
  std::uint64_t cpu_seconds = 0;  ///< RLIMIT_CPU, 0 = none
  int nice = 0;
  std::vector<std::string> allowed_syscalls;  ///< empty: the runner's baseline
  bool kill_on_violation = true;
  bool undumpable = true;
  bool strict = true;  ///< refuse when a control cannot be enforced
};

/// Engine threads for a limit of `cpu_cores`: rounded up, 1 .. 256.
[[nodiscard]] std::uint32_t threads_for(double cpu_cores);

/// Policy of a LocalGgufRunner's worker under `profile`.
[[nodiscard]] Policy worker_policy(const SandboxProfile& profile,
                                   std::filesystem::path worker_program,
                                   bool strict);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_POLICY_H_
