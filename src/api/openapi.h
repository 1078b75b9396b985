#ifndef SYMBIONT_API_OPENAPI_H_
#define SYMBIONT_API_OPENAPI_H_

#include <string>

#include "api/answer.h"
#include "api/gateway.h"

namespace symbiont::api {

/// docs/openapi.json as it was when this was built.
[[nodiscard]] std::string openapi_text();

/// GET /openapi.json
Handled get_openapi(Gateway& gateway, const Request& request);

}  // namespace symbiont::api

#endif  // SYMBIONT_API_OPENAPI_H_
