#ifndef SYMBIONT_WORKER_LLAMA_SAMPLER_H_
#define SYMBIONT_WORKER_LLAMA_SAMPLER_H_

#include <memory>
#include <span>
#include <vector>

#include "ipc/messages.h"
#include "worker/grammar.h"
#include "worker/llama_engine.h"

struct llama_context;
struct llama_vocab;

namespace symbiont::worker {

/// LlamaEngine::make_sampler(). `context` must outlive the sampler. `grammar`: rules made from the
/// request's JSON schema; null for none.
[[nodiscard]] Outcome<std::unique_ptr<Sampler>> make_llama_sampler(
    llama_context* context,
    const llama_vocab* vocab,
    const ipc::ExecuteRequest& request,
    std::span<const TokenId> prompt,
    std::unique_ptr<Grammar> grammar);

/// LlamaEngine::logprobs(), but for the pieces: tokens with their logprobs.
struct TokenProbability {
  TokenId token = 0;
  float logprob = 0;
};
[[nodiscard]] std::vector<TokenProbability> probabilities(std::span<const float> logits,
                                                          TokenId chosen,
                                                          std::size_t top);

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_LLAMA_SAMPLER_H_
