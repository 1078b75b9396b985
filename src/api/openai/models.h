#ifndef SYMBIONT_API_OPENAI_MODELS_H_
#define SYMBIONT_API_OPENAI_MODELS_H_

#include "api/answer.h"
#include "api/gateway.h"

namespace symbiont::api::openai {

/// GET /v1/models: what the caller's agent may use.
[[nodiscard]] Handled list_models(Gateway& gateway, const Request& request);
/// GET /v1/models/{id}
[[nodiscard]] Handled get_model(Gateway& gateway, const Request& request);

}  // namespace symbiont::api::openai

#endif  // SYMBIONT_API_OPENAI_MODELS_H_
