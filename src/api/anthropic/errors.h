#ifndef SYMBIONT_API_ANTHROPIC_ERRORS_H_
#define SYMBIONT_API_ANTHROPIC_ERRORS_H_

#include <string_view>

#include "api/api_error.h"
#include "api/http.h"
#include "api/json.h"

namespace symbiont::api::anthropic {

/// {"type": "error", "error": {"type", "message"}, "request_id"}
[[nodiscard]] Json error_object(const ApiError& error, std::string_view request_id);
[[nodiscard]] Response render_error(const ApiError& error, const Request& request);

}  // namespace symbiont::api::anthropic

#endif  // SYMBIONT_API_ANTHROPIC_ERRORS_H_
