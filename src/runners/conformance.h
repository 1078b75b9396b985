#ifndef SYMBIONT_RUNNERS_CONFORMANCE_H_
#define SYMBIONT_RUNNERS_CONFORMANCE_H_

// Whether an engine keeps to the engine protocol (docs/runners.md), rule by rule: what `symbiont
// runner test` shows. It demands what the protocol says and nothing else.

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "symbiont/sandbox.h"

#include "runners/process_runner_channel.h"
#include "runners/process_runner_protocol.h"

namespace symbiont::conformance {

enum class Outcome : std::uint8_t {
  Ok,
  Fail,
  Skip,  ///< nothing could be seen: a check that it needs failed, or the engine was too quick
};

struct CheckResult {
  std::string_view name;  ///< "cancel"
  std::string_view rule;  ///< what the protocol says
  Outcome outcome = Outcome::Skip;
  std::string detail;  ///< what was seen
  std::string remedy;  ///< Fail: what the engine's author can do; may be empty
  std::chrono::milliseconds elapsed{0};
};

/// How long each thing may take. `ready`, `cancel` and `end` are the protocol's own figures.
struct Bounds {
  std::chrono::milliseconds ready{30'000};   ///< from the start to 'ready'
  std::chrono::milliseconds cancel{2000};    ///< from a cancel to 'done'
  std::chrono::milliseconds end{2000};       ///< from the end of standard input to the exit
  std::chrono::milliseconds answer{60'000};  ///< from a request to its 'done'
  std::chrono::milliseconds reply{10'000};   ///< to the 'error' about what cannot be read
  std::chrono::milliseconds idle{300};       ///< for how long an idle engine is listened to
  std::chrono::milliseconds settle{30};      ///< the same before each check, for what is left over
};

/// What was found, in the order of the checks.
struct Conformance {
  engine_protocol::Ready engine;  ///< empty when it was never ready
  std::vector<CheckResult> results;
  ControlReport controls;  ///< of the first start
};

/// Starts the engine. It is called again after each engine that ended or had to be given up.
using StartEngine = std::function<std::expected<std::unique_ptr<EngineChannel>, SandboxError>()>;
/// Called after each check.
using OnResult = std::function<void(const CheckResult&)>;

/// Runs all checks. The error is that of a start: nothing can be said about the engine then.
[[nodiscard]] std::expected<Conformance, SandboxError> run_checks(const StartEngine& start,
                                                                  const Bounds& bounds,
                                                                  const OnResult& on_result);

/// The names of all checks, in their order.
[[nodiscard]] std::vector<std::string_view> check_names();

}  // namespace symbiont::conformance

#endif  // SYMBIONT_RUNNERS_CONFORMANCE_H_
