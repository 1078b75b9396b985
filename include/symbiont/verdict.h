#ifndef SYMBIONT_VERDICT_H_
#define SYMBIONT_VERDICT_H_

// How a confined process ended, and what enforced its limits. Not an error code: an execution can
// fail while the verdict is Exited, and a verdict is kept beside every error.

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace symbiont {

enum class VerdictKind : std::uint8_t {
  Running,      ///< still alive (a warm worker that finished one execution)
  Exited,       ///< ended by itself: exit_code
  Signaled,     ///< ended by a signal that no limit of ours explains: signal
  MemoryLimit,  ///< limit_bytes, peak_bytes
  CpuTimeLimit,
  TimeLimit,  ///< elapsed
  DiskLimit,
  FileSizeLimit,
  ProcessLimit,
  SyscallDenied,  ///< syscall (name or empty when the kernel does not tell), phase
  FsDenied,
  NetDenied,
  Killed,       ///< by us: cancelled or shut down
  SetupFailed,  ///< step, sys_errno: nothing untrusted ran
};

[[nodiscard]] std::string_view to_string(VerdictKind kind);

/// The end of a confined process with its figures; fields that do not belong to `kind` keep their
/// defaults.
struct Verdict {
  VerdictKind kind = VerdictKind::Running;
  int exit_code = 0;
  int signal = 0;
  std::uint64_t limit_bytes = 0;
  std::uint64_t peak_bytes = 0;
  std::chrono::milliseconds elapsed{0};
  std::string syscall{};
  std::string phase{};     ///< "setup", "load" or "inference"
  std::string step{};      ///< SetupFailed: the step that failed
  int sys_errno = 0;       ///< SetupFailed: why
  std::string subject{};   ///< FsDenied: the path; NetDenied: the host or kind of socket
  std::uint16_t port = 0;  ///< NetDenied
  std::string reason{};    ///< FsDenied, NetDenied, ProcessLimit; DiskLimit: "bytes" or "inodes"
  bool operator==(const Verdict&) const = default;
};

/// One line for people: "memory limit 64 MiB reached (peak 64 MiB)".
[[nodiscard]] std::string describe(const Verdict& verdict);

enum class ControlState : std::uint8_t { Enforced, Degraded, Unavailable };

[[nodiscard]] std::string_view to_string(ControlState state);

/// How one control is held on this host. `detail` is the mechanism when Enforced, the reason
/// otherwise.
struct Control {
  ControlState state = ControlState::Unavailable;
  std::string detail;
  std::string remedy;  ///< what an administrator can do; empty when Enforced
  bool operator==(const Control&) const = default;
};

/// Controls by name: memory, cpu, disk, time, processes, syscalls, filesystem, network, debugging,
/// priority, io, ...
using ControlReport = std::map<std::string, Control, std::less<>>;

}  // namespace symbiont

#endif  // SYMBIONT_VERDICT_H_
