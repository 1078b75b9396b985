#ifndef SYMBIONT_CMD_SYMBIONT_EXIT_CODES_H_
#define SYMBIONT_CMD_SYMBIONT_EXIT_CODES_H_

#include <cstdint>
#include <string>

#include "symbiont/catalog_error.h"
#include "symbiont/engine.h"
#include "symbiont/runner_error.h"
#include "symbiont/slm.h"

#include "base/result.h"

namespace symbiont::cli {

/// What the program ends with. Scripts depend on these: docs/cli.md lists them.
enum class ExitCode : std::uint8_t {
  Ok = 0,
  Other = 1,
  Usage = 2,  ///< also invalid input
  Configuration = 3,
  AccessDenied = 4,
  ModelNotFound = 5,  ///< or invalid
  LimitHit = 6,
  SandboxViolation = 7,
  ControlUnavailable = 8,
  Timeout = 9,
  ReaderGone = 141,  ///< 128 + SIGPIPE; nothing is said about it
};

[[nodiscard]] constexpr int to_int(ExitCode code) {
  return static_cast<int>(code);
}

/// Something went wrong, in the words of the command line.
struct Failure {
  ExitCode exit = ExitCode::Other;
  std::string kind;  ///< "ModelNotFound", for --json
  std::string message;
  std::string hint;  ///< the next step; empty when there is none to give
};

[[nodiscard]] Failure usage_failure(std::string message, std::string hint = {});
[[nodiscard]] Failure to_failure(const SlmRunnerError& error);
[[nodiscard]] Failure to_failure(const ModelCatalogError& error);
[[nodiscard]] Failure to_failure(const EngineError& error);
[[nodiscard]] Failure to_failure(const Error& error);
/// All errors of a configuration, one a line.
[[nodiscard]] Failure to_failure(const ConfigErrors& errors);

/// Prints a failure that no execution stands behind: for people on standard error, or as
/// {"error": {...}} on standard output. Returns the exit code.
[[nodiscard]] int report(const Failure& failure, bool json = false);

}  // namespace symbiont::cli

#endif  // SYMBIONT_CMD_SYMBIONT_EXIT_CODES_H_
