#ifndef SYMBIONT_API_OPENAI_EMBEDDINGS_H_
#define SYMBIONT_API_OPENAI_EMBEDDINGS_H_

#include "api/answer.h"
#include "api/gateway.h"

namespace symbiont::api::openai {

/// POST /v1/embeddings
[[nodiscard]] Handled create_embeddings(Gateway& gateway, const Request& request);

}  // namespace symbiont::api::openai

#endif  // SYMBIONT_API_OPENAI_EMBEDDINGS_H_
