#ifndef SYMBIONT_API_OPENAI_ERRORS_H_
#define SYMBIONT_API_OPENAI_ERRORS_H_

#include "api/api_error.h"
#include "api/http.h"
#include "api/json.h"

namespace symbiont::api::openai {

/// {"error": {"message", "type", "param", "code"}}
[[nodiscard]] Json error_object(const ApiError& error);
[[nodiscard]] Response render_error(const ApiError& error, const Request& request = {});

}  // namespace symbiont::api::openai

#endif  // SYMBIONT_API_OPENAI_ERRORS_H_
