#ifndef SYMBIONT_SANDBOX_SANDBOX_H_
#define SYMBIONT_SANDBOX_SANDBOX_H_

// The parent's view of confinement: a Launcher starts programs under a Policy; each is a
// SandboxedProcess whose end is a Verdict. Knows nothing of models.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "symbiont/sandbox.h"
#include "symbiont/verdict.h"

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/policy.h"

namespace symbiont::sandbox {

/// Figures of a confined process, live or final.
struct Usage {
  std::uint64_t peak_memory_bytes = 0;
  std::uint64_t cpu_time_us = 0;
  std::uint64_t throttled_us = 0;
  std::uint64_t written_bytes = 0;  ///< final only
  std::uint64_t scratch_bytes = 0;  ///< final only
};

/// What was denied to a program that has ended; workers have none.
struct DenialSummary {
  std::vector<Denial> denials;
  std::uint64_t dropped = 0;
};

/// What a program gets beside its policy. Descriptors that are not valid become /dev/null; the
/// caller keeps the three plain ones.
struct Attached {
  Attached(UniqueFd control_fd = {}) : control(std::move(control_fd)) {}  // NOLINT: a worker's case
  UniqueFd control;  ///< becomes kControlFd, when valid
  int in = -1;
  int out = -1;
  int err = -1;
};

/// One confined process tree. Destroying it kills the tree and waits until nothing of it is left.
/// Threads: all methods may be called from any thread.
class SandboxedProcess {
 public:
  virtual ~SandboxedProcess() = default;
  /// Process id as this process sees it.
  [[nodiscard]] virtual int pid() const = 0;
  /// Reads the process's state from outside and compares it with the policy. FailedPrecondition
  /// names each mismatch.
  [[nodiscard]] virtual Status prove() const = 0;
  /// Kills the whole tree; `reason` becomes the verdict when nothing else ended it before.
  virtual void kill(VerdictKind reason) = 0;
  /// Sends `signal` to the program alone. `reason`, when given, is the verdict if it ends.
  virtual void signal(int signal, std::optional<VerdictKind> reason) = 0;
  /// RootKind::View under network Restricted: the listening socket inside; invalid when taken.
  [[nodiscard]] virtual UniqueFd take_relay() = 0;
  /// After the end.
  [[nodiscard]] virtual DenialSummary denials() = 0;
  /// The same facts as prove(), one by one.
  [[nodiscard]] virtual Result<std::vector<ProofItem>> proof() const = 0;
  /// Waits for the end. Empty when it is still running at `deadline`.
  [[nodiscard]] virtual std::optional<Verdict> wait_until(
      std::chrono::steady_clock::time_point deadline) = 0;
  [[nodiscard]] virtual Usage usage() = 0;
  /// Changes how much memory the tree may hold from now on; 0: back to what the policy says, which
  /// is the most. Success as well when it has ended, or when no group holds it (see controls()).
  [[nodiscard]] virtual Status limit_memory(std::uint64_t bytes) = 0;
  /// How each control of the policy is held for this process.
  [[nodiscard]] virtual const ControlReport& controls() const = 0;
};

/// Starts confined processes through one symbiont-launcher process, which is started on first use
/// and again after it died. Threads: all methods may be called from any thread.
class Launcher {
 public:
  virtual ~Launcher() = default;
  /// FailedPrecondition lists controls this host lacks (policy.strict); Internal with step and
  /// errno when the start failed half-way (nothing is left behind).
  [[nodiscard]] virtual Result<std::unique_ptr<SandboxedProcess>> spawn(const Policy& policy,
                                                                        Attached attached) = 0;
  /// How each control of `policy` would be held here.
  [[nodiscard]] virtual Result<ControlReport> controls(const Policy& policy) = 0;
};

/// Names of the controls that a strict start would miss; empty when the launcher cannot tell.
[[nodiscard]] std::vector<std::string> missing_controls(Launcher& launcher, const Policy& policy);

/// The real one. `launcher_program` empty: symbiont-launcher beside this executable, else
/// $SYMBIONT_BIN_DIR, else the install prefix.
[[nodiscard]] std::unique_ptr<Launcher> make_launcher(std::filesystem::path launcher_program = {});

/// Finds a program of ours ("symbiont-worker") the same way. NotFound lists where it looked.
[[nodiscard]] Result<std::filesystem::path> find_program(std::string_view name);

/// How this host would hold each control of `policy`, found by trying in throw-away children. About
/// 10 ms.
[[nodiscard]] Result<ControlReport> probe_host(const Policy& policy);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_SANDBOX_H_
