#ifndef SYMBIONT_WORKER_PROMPT_H_
#define SYMBIONT_WORKER_PROMPT_H_

#include <vector>

#include "ipc/messages.h"
#include "worker/llama_engine.h"

namespace symbiont::worker {

/// Tokens of the request's prompt, with the model's begin token once. ContextOverflow when they
/// leave no room for one token more. Contents never become control tokens; a raw prompt may hold
/// them.
[[nodiscard]] Outcome<std::vector<TokenId>> build_prompt(const LlamaEngine& engine,
                                                         const ipc::ExecuteRequest& request);

/// Tokens of each message of a request for embeddings, with the tokens that the model wants at
/// begin and end. ContextOverflow when one has more than the context holds, unless the request says
/// to shorten it.
[[nodiscard]] Outcome<std::vector<std::vector<TokenId>>> build_embedding_inputs(
    const LlamaEngine& engine, const ipc::ExecuteRequest& request);

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_PROMPT_H_
