#ifndef SYMBIONT_API_OLLAMA_ERRORS_H_
#define SYMBIONT_API_OLLAMA_ERRORS_H_

#include "api/answer.h"
#include "api/gateway.h"
#include "api/json.h"

namespace symbiont::api::ollama {

/// {"error": "..."}
[[nodiscard]] Json error_object(const ApiError& error);
[[nodiscard]] Response render_error(const ApiError& error, const Request& request = {});

/// Paths of Ollama's that manage models: 501 and the reason.
[[nodiscard]] Handled refuse_management(Gateway& gateway, const Request& request);

}  // namespace symbiont::api::ollama

#endif  // SYMBIONT_API_OLLAMA_ERRORS_H_
