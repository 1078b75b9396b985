#ifndef SYMBIONT_API_OPENAI_COMPLETIONS_H_
#define SYMBIONT_API_OPENAI_COMPLETIONS_H_

#include "api/answer.h"
#include "api/gateway.h"

namespace symbiont::api::openai {

/// POST /v1/completions: the prompt goes to the model as it is, without its chat template.
[[nodiscard]] Handled create_completion(Gateway& gateway, const Request& request);

}  // namespace symbiont::api::openai

#endif  // SYMBIONT_API_OPENAI_COMPLETIONS_H_
