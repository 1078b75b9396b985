#include "api/middlewares/cors.h"

#include <algorithm>
#include <string_view>

namespace symbiont::api {
namespace {

/// Whether the page came from this very server: the origin without its scheme is the Host.
bool is_same_origin(const Request& request, std::string_view origin) {
  const std::size_t slashes = origin.find("://");
  return slashes != std::string_view::npos &&
         equals_ignoring_case(origin.substr(slashes + 3), request.header("host"));
}

}  // namespace

bool Cors::allows(std::string_view origin) const {
  return std::ranges::find(origins_, origin) != origins_.end();
}

std::variant<std::monostate, ApiError, Response> Cors::check(const Request& request) const {
  const std::string_view origin = request.header("origin");
  const bool preflight =
      request.method == Method::Options && !request.header("access-control-request-method").empty();
  if (origin.empty() || is_same_origin(request, origin)) return std::monostate();
  if (!allows(origin)) {
    return ApiError{.kind = ErrorKind::Forbidden,
                    .message = "Web pages of this origin are not allowed here.",
                    .code = "bad_origin"};
  }
  if (!preflight) return std::monostate();
  Response response{.status = 204, .content_type = ""};  // headers_for() comes with every response
  response.headers.push_back({"Access-Control-Allow-Methods", "GET, POST, DELETE"});
  response.headers.push_back(
      {"Access-Control-Allow-Headers",
       "anthropic-beta, anthropic-dangerous-direct-browser-access, anthropic-version, "
       "authorization, content-type, x-api-key, x-request-id"});
  response.headers.push_back({"Access-Control-Max-Age", "600"});
  return response;
}

std::vector<Header> Cors::headers_for(const Request& request) const {
  const std::string_view origin = request.header("origin");
  if (origin.empty() || !allows(origin)) return {};
  return {
      {"Access-Control-Allow-Origin", std::string(origin)},
      {"Access-Control-Expose-Headers", "x-request-id, request-id, x-execution-id, retry-after"},
      {"Vary", "Origin"}};
}

}  // namespace symbiont::api
