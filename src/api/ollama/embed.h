#ifndef SYMBIONT_API_OLLAMA_EMBED_H_
#define SYMBIONT_API_OLLAMA_EMBED_H_

#include "api/answer.h"
#include "api/gateway.h"

namespace symbiont::api::ollama {

/// POST /api/embed
[[nodiscard]] Handled embed(Gateway& gateway, const Request& request);
/// POST /api/embeddings: one text, as older clients ask.
[[nodiscard]] Handled embed_one(Gateway& gateway, const Request& request);

}  // namespace symbiont::api::ollama

#endif  // SYMBIONT_API_OLLAMA_EMBED_H_
