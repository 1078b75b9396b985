#ifndef SYMBIONT_API_OPENAI_LOGPROBS_H_
#define SYMBIONT_API_OPENAI_LOGPROBS_H_

#include <cstddef>
#include <span>

#include "symbiont/execution.h"

#include "api/json.h"

namespace symbiont::api::openai {

/// A choice's "logprobs" as chat completions have it; null when there are none.
[[nodiscard]] Json chat_logprobs(std::span<const TokenLogprobs> tokens);
/// As the older completions have it. `offset`: bytes of the text before these tokens.
[[nodiscard]] Json text_logprobs(std::span<const TokenLogprobs> tokens, std::size_t offset);

}  // namespace symbiont::api::openai

#endif  // SYMBIONT_API_OPENAI_LOGPROBS_H_
