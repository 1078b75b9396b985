#ifndef SYMBIONT_SANDBOX_PROFILE_H_
#define SYMBIONT_SANDBOX_PROFILE_H_

// What one execution may use and touch. Pure data: the same names as in the configuration file.
// Which kernel mechanism enforces each field on this host is a ControlReport (verdict.h).

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace symbiont {

/// Whether device nodes of a GPU appear inside. `None` is the default; the others need
/// `max_memory_mb` only for Shared.
enum class GpuAccessMode : std::uint8_t { None, Shared, Exclusive };

struct GpuAccess {
  GpuAccessMode mode = GpuAccessMode::None;
  std::uint64_t max_memory_mb = 0;  ///< Shared only; MiB
  bool operator==(const GpuAccess&) const = default;
};

struct ResourceLimits {
  std::uint64_t max_memory_mb =
      512;  ///< MiB (2^20 bytes), anonymous memory, page cache it touched first, tmpfs
  double max_cpu_cores =
      1.0;  ///< fractions allowed; the worker's thread count follows it, rounded up
  std::uint64_t max_disk_mb = 100;  ///< MiB of scratch space; 0 only with allow_temp_files = false
  GpuAccess gpu_access;
  std::uint64_t max_io_bandwidth_mbps = 10;  ///< 10^6 bit/s on block devices
  bool operator==(const ResourceLimits&) const = default;
};

struct FilesystemPolicy {
  std::vector<std::filesystem::path> read_paths;
  std::vector<std::filesystem::path> write_paths;
  std::vector<std::filesystem::path> denied_paths;
  bool allow_temp_files = false;
  std::uint64_t max_file_size_mb = 10;  ///< MiB for any one file
  bool operator==(const FilesystemPolicy&) const = default;
};

struct ProcessLimits {
  std::uint32_t max_child_processes =
      0;  ///< processes beside the first; threads of the engine are accounted apart
  std::uint64_t max_execution_time_seconds = 300;
  std::vector<std::string> allowed_syscalls;  ///< names; empty = the runner's own baseline
  int process_priority = 19;                  ///< nice value, -20..19
  bool operator==(const ProcessLimits&) const = default;
};

enum class NetworkAccessMode : std::uint8_t { None, Restricted, Full };
enum class NetworkProtocol : std::uint8_t { TCP, UDP, HTTP, HTTPS };

struct NetworkDestination {
  std::string host;
  std::uint16_t port = 443;
  NetworkProtocol protocol = NetworkProtocol::HTTPS;
  bool operator==(const NetworkDestination&) const = default;
};

struct NetworkPolicy {
  NetworkAccessMode access_mode = NetworkAccessMode::None;
  std::vector<NetworkDestination>
      allowed_destinations;              ///< Restricted: nothing else; empty denies all
  std::uint64_t max_bandwidth_mbps = 0;  ///< 10^6 bit/s, both directions; 0 = not limited
  bool operator==(const NetworkPolicy&) const = default;
};

struct SecuritySettings {
  bool strict_syscall_filtering = true;  ///< kill on a denied system call; else it fails with EPERM
  bool disable_debugging = true;         ///< not dumpable, no ptrace, no core
  bool enable_audit_logging = true;
  bool require_encryption = false;
  bool operator==(const SecuritySettings&) const = default;
};

/// Default-constructed, it is the built-in `secure` profile.
struct SandboxProfile {
  std::string name = "secure";
  ResourceLimits resources;
  FilesystemPolicy filesystem;
  ProcessLimits process_limits;
  NetworkPolicy network;
  SecuritySettings security;
  bool operator==(const SandboxProfile&) const = default;
};

}  // namespace symbiont

#endif  // SYMBIONT_SANDBOX_PROFILE_H_
