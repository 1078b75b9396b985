#include "api/openapi.h"

#include <span>
#include <string_view>

#include "api/openapi_pieces.h"

namespace symbiont::api {

std::string openapi_text() {
  std::string text;
  for (const std::string_view piece : std::span(kOpenapiPieces))
    text += piece;
  return text;
}

Handled get_openapi(Gateway& /*gateway*/, const Request& /*request*/) {
  return Response{.body = openapi_text()};
}

}  // namespace symbiont::api
