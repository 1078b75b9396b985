#ifndef SYMBIONT_SANDBOX_CGROUP_H_
#define SYMBIONT_SANDBOX_CGROUP_H_

// Control groups, version 1, 2 or both beside each other. On a hybrid host the limits live in the
// version 1 hierarchies.

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace symbiont::sandbox {

/// Where this process may make groups: one directory for each usable controller ("memory", "cpu",
/// "cpuacct", "pids", "blkio", which is "io" in version 2). A version 2 tree is listed once for
/// each of its controllers.
struct CgroupHost {
  struct Place {
    std::filesystem::path directory;
    bool unified = false;
  };
  std::map<std::string, Place, std::less<>> controllers;
  std::map<std::string, std::string, std::less<>>
      why_not;  ///< reason for each controller that is missing

  [[nodiscard]] bool has(std::string_view controller) const {
    return controllers.contains(controller);
  }
};

/// Reads /proc/self/{cgroup,mountinfo} and tries to make a group in each place (removed again).
[[nodiscard]] CgroupHost find_cgroups();

/// 0: not limited.
struct CgroupLimits {
  std::uint64_t memory_bytes = 0;
  double cpu_cores = 0;
  std::uint32_t processes = 0;  ///< tasks: threads count
  std::uint64_t io_bytes_per_second = 0;
  std::vector<std::string> io_devices;  ///< "major:minor" of whole disks
};

struct CgroupUsage {
  std::uint64_t peak_memory_bytes = 0;
  std::uint64_t cpu_time_us = 0;
  std::uint64_t throttled_us = 0;
  std::uint64_t oom_kills = 0;
};

/// One group in each usable hierarchy. Owns the directories: removed on
/// destruction, once empty.
class Cgroup {
 public:
  /// Makes the groups, without limits. Only controllers of `host` are used.
  [[nodiscard]] static Result<Cgroup> create(const CgroupHost& host, const std::string& name);
  Cgroup(Cgroup&& other) noexcept : directories_(std::exchange(other.directories_, {})) {}
  Cgroup& operator=(Cgroup&& other) noexcept;
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;
  ~Cgroup();

  [[nodiscard]] Status set_limits(const CgroupLimits& limits) const;
  /// For each group a descriptor that takes a process: one that writes "0" joins. The kernel asks
  /// for the rights of who opened it.
  [[nodiscard]] Result<std::vector<UniqueFd>> entrances() const;
  /// Ids of the processes inside; fewer than `at_most`, in no order. Empty without a controller.
  [[nodiscard]] std::vector<pid_t> processes(std::size_t at_most) const;
  /// Figures of the controllers there are; the others stay 0.
  [[nodiscard]] CgroupUsage usage() const;
  /// Threads and processes that the limit refused; 0 where nothing counts them.
  [[nodiscard]] std::uint64_t refused_tasks() const;
  /// Waits up to 1 s for the kernel to let go of the last process, then removes the groups.
  [[nodiscard]] Status remove();

 private:
  explicit Cgroup(std::map<std::string, CgroupHost::Place, std::less<>> directories)
      : directories_(std::move(directories)) {}
  std::map<std::string, CgroupHost::Place, std::less<>> directories_;
};

/// Name of a launcher's group: it carries the launcher's pid and start time, so that a later one
/// can tell it is stale.
[[nodiscard]] std::string cgroup_name(pid_t launcher,
                                      std::uint64_t start_time,
                                      std::uint64_t sequence);

/// Removes groups whose launcher is gone (killed before it could tidy up).
void sweep_stale_cgroups(const CgroupHost& host);

/// Field 22 of /proc/PID/stat, 0 when the process is gone.
[[nodiscard]] std::uint64_t process_start_time(pid_t pid);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_CGROUP_H_
