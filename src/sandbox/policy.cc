#include "sandbox/policy.h"

#include <algorithm>
#include <cmath>

namespace symbiont::sandbox {
namespace {

constexpr std::uint64_t kMiB = 1U << 20U;

}  // namespace

std::uint32_t threads_for(double cpu_cores) {
  constexpr double kMaxThreads = 256;
  return static_cast<std::uint32_t>(std::clamp(std::ceil(cpu_cores), 1.0, kMaxThreads));
}

Policy worker_policy(const SandboxProfile& profile,
                     std::filesystem::path worker_program,
                     bool strict) {
  Policy policy;
  policy.program = std::move(worker_program);
  policy.memory_bytes = profile.resources.max_memory_mb * kMiB;
  policy.cpu_cores = profile.resources.max_cpu_cores;
  policy.scratch_bytes =
      profile.filesystem.allow_temp_files ? profile.resources.max_disk_mb * kMiB : 0;
  policy.max_file_bytes =
      std::min(profile.filesystem.max_file_size_mb * kMiB, policy.scratch_bytes);
  policy.threads = threads_for(profile.resources.max_cpu_cores);
  policy.child_processes = 0;  // the engine has no use for any, whatever the profile would allow
  policy.nice = profile.process_limits.process_priority;
  policy.allowed_syscalls = profile.process_limits.allowed_syscalls;
  policy.kill_on_violation = profile.security.strict_syscall_filtering;
  policy.undumpable = profile.security.disable_debugging;
  policy.strict = strict;
  return policy;
}

}  // namespace symbiont::sandbox
