#ifndef SYMBIONT_API_ANTHROPIC_MODELS_H_
#define SYMBIONT_API_ANTHROPIC_MODELS_H_

#include "api/answer.h"
#include "api/gateway.h"

namespace symbiont::api::anthropic {

/// Whether a request for a path that several APIs have comes from a client of this one.
[[nodiscard]] inline bool is_client(const Request& request) {
  return !request.header("anthropic-version").empty();
}

/// GET /v1/models: what the caller's agent may use, on one page.
[[nodiscard]] Handled list_models(Gateway& gateway, const Request& request);
/// GET /v1/models/{id}
[[nodiscard]] Handled get_model(Gateway& gateway, const Request& request);

}  // namespace symbiont::api::anthropic

#endif  // SYMBIONT_API_ANTHROPIC_MODELS_H_
