#ifndef SYMBIONT_SANDBOX_POLICY_H_
#define SYMBIONT_SANDBOX_POLICY_H_

// A profile turned into what the launcher is to do. Plain data; building one touches nothing.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "symbiont/sandbox.h"
#include "symbiont/sandbox_profile.h"

#include "base/result.h"
#include "sandbox/view.h"

namespace symbiont::sandbox {

enum class RootKind : std::uint8_t {
  EmptyAfterExec,   ///< the program sees the host's libraries at exec, then locks itself into an
                    ///< empty root (our worker)
  EmptyBeforeExec,  ///< the root is empty before exec: static programs only
  View,             ///< the root holds what `view` names: any program
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

  std::vector<std::string> environment;

  // RootKind::View only.
  std::vector<ViewEntry> view;
  std::string working_directory = "/";
  NetworkAccessMode network = NetworkAccessMode::None;
  bool report_files = false;  ///< tell denied files by name
  std::uint64_t scratch_inodes = 1024;
  std::uint64_t io_bytes_per_second = 0;  ///< on block devices, 0 = not limited
  std::vector<std::string> io_devices;    ///< "major:minor" of the disks that `view` reaches
  bool io_incomplete = false;  ///< some of `view` lies on a file system without such a disk
  bool io_written = false;     ///< some of `view` on a disk may be written
  bool gpu_wanted = false;
};

/// Port of the proxy that network Restricted offers on the sandbox's own 127.0.0.1.
inline constexpr std::uint16_t kProxyPort = 3128;
inline constexpr std::size_t kMaxCommandBytes = 64U << 10U;
/// Tasks a program may have for each process its profile allows; processes are counted apart.
inline constexpr std::uint32_t kThreadsPerProcess = 32;

/// Engine threads for a limit of `cpu_cores`: rounded up, 1 .. 256.
[[nodiscard]] std::uint32_t threads_for(double cpu_cores);

/// Policy of a LocalGgufRunner's worker under `profile`.
[[nodiscard]] Policy worker_policy(const SandboxProfile& profile,
                                   std::filesystem::path worker_program,
                                   bool strict);

/// Policy of any program. InvalidArgument names the path, the system call or the part of the
/// command that is wrong. Reads the host's file tree; changes nothing.
[[nodiscard]] Result<Policy> program_policy(const SandboxProfile& profile,
                                            const SandboxCommand& command,
                                            const SandboxOptions& options);

/// Whether a strict start is refused when `control` is not Enforced. Not for a second line
/// ("landlock"), nor for "io_bandwidth", which is held where the host can: both are told in every
/// result.
[[nodiscard]] bool is_required(std::string_view control);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_POLICY_H_
