#ifndef SYMBIONT_API_OLLAMA_MODELS_H_
#define SYMBIONT_API_OLLAMA_MODELS_H_

#include "api/answer.h"
#include "api/gateway.h"

namespace symbiont::api::ollama {

/// GET /api/tags: what the caller's agent may use.
[[nodiscard]] Handled list_models(Gateway& gateway, const Request& request);
/// POST /api/show
[[nodiscard]] Handled show_model(Gateway& gateway, const Request& request);
/// GET /api/ps: the models of the caller's executions that are under way.
[[nodiscard]] Handled list_running(Gateway& gateway, const Request& request);
/// GET /api/version: symbiont's own.
[[nodiscard]] Handled version(Gateway& gateway, const Request& request);

}  // namespace symbiont::api::ollama

#endif  // SYMBIONT_API_OLLAMA_MODELS_H_
