#ifndef SYMBIONT_API_OPENAI_LOGPROBS_H_
#define SYMBIONT_API_OPENAI_LOGPROBS_H_

#include "symbiont/execution.h"

#include "api/json.h"

namespace symbiont::api::openai {

/// A choice's "logprobs" as chat completions have it; null when there are none.
[[nodiscard]] Json chat_logprobs(const ExecutionResult& result);
/// As the older completions have it.
[[nodiscard]] Json text_logprobs(const ExecutionResult& result);

}  // namespace symbiont::api::openai

#endif  // SYMBIONT_API_OPENAI_LOGPROBS_H_
