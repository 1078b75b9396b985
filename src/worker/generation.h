#ifndef SYMBIONT_WORKER_GENERATION_H_
#define SYMBIONT_WORKER_GENERATION_H_

// One execution on the engine, from messages to the last token.

#include <functional>
#include <string_view>
#include <vector>

#include "ipc/messages.h"
#include "worker/llama_engine.h"

namespace symbiont::worker {

/// Why an execution has to end early, if it has to.
enum class Stopping : std::uint8_t { No, Cancelled, Deadline };

struct GenerationHooks {
  std::function<Stopping()> stopping;          ///< asked between steps and often within one
  std::function<void(std::string_view)> emit;  ///< gets text as it comes; never empty
};

/// Tokens of the request's prompt, with the model's begin token once. ContextOverflow when they
/// leave no room for one token more. Contents never become control tokens; a raw prompt may hold
/// them.
[[nodiscard]] Outcome<std::vector<TokenId>> build_prompt(const LlamaEngine& engine,
                                                         const ipc::ExecuteRequest& request);

/// Runs one request. What the engine threw passes through (std::bad_alloc).
[[nodiscard]] Outcome<ipc::DoneReport> generate(LlamaEngine& engine,
                                                const ipc::ExecuteRequest& request,
                                                const GenerationHooks& hooks);

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_GENERATION_H_
