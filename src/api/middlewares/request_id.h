#ifndef SYMBIONT_API_MIDDLEWARES_REQUEST_ID_H_
#define SYMBIONT_API_MIDDLEWARES_REQUEST_ID_H_

#include <string>

#include "api/http.h"

namespace symbiont::api {

/// The client's X-Request-Id when it is short and plain, else a new one: "req-" and 32 hex digits.
[[nodiscard]] std::string request_id_for(const Request& request);

}  // namespace symbiont::api

#endif  // SYMBIONT_API_MIDDLEWARES_REQUEST_ID_H_
