#ifndef SYMBIONT_API_OLLAMA_GENERATE_H_
#define SYMBIONT_API_OLLAMA_GENERATE_H_

#include "api/answer.h"
#include "api/gateway.h"

namespace symbiont::api::ollama {

/// POST /api/chat
[[nodiscard]] Handled chat(Gateway& gateway, const Request& request);
/// POST /api/generate
[[nodiscard]] Handled generate(Gateway& gateway, const Request& request);

}  // namespace symbiont::api::ollama

#endif  // SYMBIONT_API_OLLAMA_GENERATE_H_
