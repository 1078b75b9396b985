#ifndef SYMBIONT_OBSERVE_SANDBOX_JSON_H_
#define SYMBIONT_OBSERVE_SANDBOX_JSON_H_

// What became of a confined program, as one JSON object: `symbiont sandbox exec --report`. Paths
// and hosts are the program's own choice of bytes; dump() makes them valid UTF-8.

#include <string>
#include <vector>

#include "symbiont/sandbox.h"

#include "observe/json.h"

namespace symbiont::observe {

/// Raised when a key changes its meaning or goes away; a new key does not raise it.
inline constexpr int kSandboxReportSchema = 1;

/// What was asked for.
struct SandboxRequest {
  std::vector<std::string> command;
  std::string profile;
};

/// Why nothing was started.
struct SandboxFailure {
  std::string code;  ///< "InvalidInput", "ControlUnavailable", "SetupFailed", "Usage", ...
  std::string message;
  std::string hint;                   ///< left out when empty
  std::vector<std::string> controls;  ///< that this host cannot enforce; left out when empty
};

[[nodiscard]] Json to_json(const SandboxUsage& usage);
[[nodiscard]] Json to_json(const Denial& denial);
[[nodiscard]] Json to_json(const Connection& connection);
[[nodiscard]] Json to_json(const SandboxFailure& failure);

/// Every key but `error`. Of `exit_code` and `signal` one is null, and both while nothing has
/// ended.
[[nodiscard]] Json to_json(const SandboxRequest& request, const SandboxReport& report);
/// The same keys with nothing in them, the verdict of the failed start, and `error`.
[[nodiscard]] Json to_json(const SandboxRequest& request,
                           const SandboxFailure& failure,
                           const Verdict& verdict);

}  // namespace symbiont::observe

#endif  // SYMBIONT_OBSERVE_SANDBOX_JSON_H_
