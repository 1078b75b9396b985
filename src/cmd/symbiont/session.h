#ifndef SYMBIONT_CMD_SYMBIONT_SESSION_H_
#define SYMBIONT_CMD_SYMBIONT_SESSION_H_

#include <expected>
#include <functional>
#include <string>

#include "symbiont/engine.h"

#include "cmd/symbiont/exit_codes.h"
#include "cmd/symbiont/options.h"

namespace symbiont::cli {

/// Name under which executions without --agent are recorded. It may use every model unless
/// agent_model_maps names it: who can read the configuration and the model files needs no leave.
inline constexpr const char* kOperator = "operator";

/// An engine and the request that every prompt of this command line starts from.
struct Session {
  Engine engine;
  EngineRequest request;  ///< agent, model, profile and options; no prompt
};

/// Finds configuration, model and profile. A path of a model file needs no configuration: it gets a
/// catalogue of its own.
[[nodiscard]] std::expected<Session, Failure> open_session(
    const RunOptions& options, std::function<void(float fraction)> on_load_progress);

}  // namespace symbiont::cli

#endif  // SYMBIONT_CMD_SYMBIONT_SESSION_H_
