#ifndef SYMBIONT_SANDBOX_H_
#define SYMBIONT_SANDBOX_H_

// Any program under any profile: what `symbiont sandbox exec` and ProcessRunner are made of.
//
//   auto host = symbiont::SandboxHost::create();
//   symbiont::SandboxCommand command{.argv = {"python3", "-c", "print(6 * 7)"}};
//   auto program = symbiont::SandboxedProgram::start(host, profile, command, {.stdout_fd = 1});
//   symbiont::SandboxReport report = (*program)->wait();     // report.verdict, report.usage, ...

#include <chrono>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "symbiont/sandbox_host.h"
#include "symbiont/sandbox_profile.h"
#include "symbiont/verdict.h"

namespace symbiont {

/// What to run. Inside, it sees the system's programs and libraries (/usr, /bin, /lib...) and the
/// program's own file read-only, the profile's read_paths and write_paths, four device nodes, and
/// /tmp when the profile allows temporary files; nothing else of the host.
struct SandboxCommand {
  /// argv[0] with a slash is a path, without one it is looked for in the PATH of this process.
  /// At most 64 KiB together with `environment`.
  std::vector<std::string> argv;
  /// "NAME=value". PATH, HOME, LANG and the proxy variables of network Restricted are set when
  /// absent; nothing is inherited.
  std::vector<std::string> environment;
  /// Empty: the caller's when it is visible inside, else "/".
  std::filesystem::path working_directory;
};

struct SandboxOptions {
  /// -1: /dev/null. The caller keeps its descriptor. Sockets but connected pairs are refused unless
  /// the network is Full.
  int stdin_fd = -1;
  int stdout_fd = -1;
  int stderr_fd = -1;
  bool strict = true;  ///< refuse to start when a control of the profile cannot be enforced
  /// Names denied files in the report, for about 50 us per open(2). The denial itself does not
  /// depend on it.
  bool report_files = true;
  /// Between SIGTERM and the kill of the whole tree when time is up.
  std::chrono::milliseconds grace{2000};
};

/// Something the program asked for and did not get.
struct Denial {
  enum class Kind : std::uint8_t { Syscall, File, Network, Process };
  Kind kind = Kind::Syscall;
  std::string name;        ///< system call, path, or host
  std::uint16_t port = 0;  ///< Network
  std::string reason;
  std::uint64_t count = 1;
  bool operator==(const Denial&) const = default;
};

/// A connection that network Restricted let through.
struct Connection {
  std::string host;
  std::uint16_t port = 0;
  std::string address;  ///< what was connected to
  bool operator==(const Connection&) const = default;
};

struct SandboxUsage {
  std::uint64_t peak_memory_bytes = 0;
  std::uint64_t memory_limit_bytes = 0;
  std::chrono::microseconds cpu_time{0};
  std::chrono::microseconds throttled{0};  ///< kept waiting by the CPU limit
  std::chrono::milliseconds elapsed{0};
  std::uint64_t scratch_bytes = 0;  ///< in /tmp at the end
  std::uint64_t scratch_limit_bytes = 0;
  std::uint64_t written_bytes = 0;  ///< to block devices
  std::uint64_t network_sent_bytes = 0;
  std::uint64_t network_received_bytes = 0;
  bool operator==(const SandboxUsage&) const = default;
};

struct SandboxReport {
  /// Which limit or rule ended it. A program that failed by itself (exit code not 0, or a signal)
  /// after something was denied has the kind of the last denial; exit_code or signal is kept.
  Verdict verdict;
  SandboxUsage usage;
  std::vector<Denial> denials;  ///< at most 256 different ones, in order of first appearance
  std::uint64_t denials_dropped = 0;
  std::vector<Connection> connections;  ///< at most 1000
  ControlReport controls;
};

/// One fact about a confined process, read from outside.
struct ProofItem {
  std::string name;
  std::string expected;
  std::string found;
  bool holds = false;
};

/// Why nothing was started. `kind` says who has to act.
struct SandboxError {
  enum class Kind : std::uint8_t {
    InvalidInput,        ///< command or profile: a path that does not exist, an unknown system call
    ControlUnavailable,  ///< this host cannot enforce `controls`
    SetupFailed,         ///< a step failed: `verdict` has step and errno
  };
  Kind kind = Kind::SetupFailed;
  std::string message;
  std::vector<std::string> controls;
  Verdict verdict{.kind = VerdictKind::SetupFailed};
};

/// A running program. Destroying it kills the whole tree and waits until nothing is left.
/// Threads: all methods may be called from any thread.
class SandboxedProgram {
 public:
  /// Nothing untrusted has run when this fails, and nothing is left behind.
  [[nodiscard]] static std::expected<std::unique_ptr<SandboxedProgram>, SandboxError> start(
      const std::shared_ptr<SandboxHost>& host,
      const SandboxProfile& profile,
      const SandboxCommand& command,
      const SandboxOptions& options = {});
  SandboxedProgram(const SandboxedProgram&) = delete;
  SandboxedProgram& operator=(const SandboxedProgram&) = delete;
  ~SandboxedProgram();

  [[nodiscard]] int pid() const;  ///< as the caller's pid namespace numbers it
  /// Sends `signal` to the program; SIGKILL kills the whole tree.
  void signal(int signal);
  /// Kills the whole tree; the verdict is Killed when nothing ended it before.
  void kill();
  /// Blocks until the end; enforces max_execution_time_seconds meanwhile (so does a thread of the
  /// object when nobody waits).
  [[nodiscard]] SandboxReport wait();
  [[nodiscard]] std::optional<SandboxReport> wait_for(std::chrono::milliseconds time);
  /// Figures of the running program, some of which are known at its end only: scratch_bytes and
  /// written_bytes are 0 until then.
  [[nodiscard]] SandboxUsage usage() const;
  /// Lowers how many bytes the whole tree may hold, or raises it again; never above the profile's
  /// max_memory_mb, which 0 stands for. False: it was not possible, and what held before holds.
  /// Without effect where the report of controls says that no control group holds its memory.
  [[nodiscard]] bool limit_memory(std::uint64_t bytes);
  [[nodiscard]] const ControlReport& controls() const;
  /// The process's state as the kernel tells it, against what the profile asks for.
  [[nodiscard]] std::vector<ProofItem> proof() const;

 private:
  struct Impl;
  explicit SandboxedProgram(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace symbiont

#endif  // SYMBIONT_SANDBOX_H_
