#include "api/anthropic/errors.h"

namespace symbiont::api::anthropic {
namespace {

/// Anthropic's own status for a server that has too much to do; clients come again later.
constexpr int kOverloaded = 529;

bool is_overload(const ApiError& error) {
  return error.kind == ErrorKind::Unavailable &&
         (error.code == "busy" || error.code == "shutting_down");
}

std::string_view type_of(const ApiError& error) {
  switch (error.kind) {
    case ErrorKind::Unauthenticated:
      return "authentication_error";
    case ErrorKind::Forbidden:
      return "permission_error";
    case ErrorKind::NotFound:
    case ErrorKind::ModelNotFound:
      return "not_found_error";
    case ErrorKind::TooLarge:
      return "request_too_large";
    case ErrorKind::RateLimited:
      return "rate_limit_error";
    case ErrorKind::Timeout:
      return "timeout_error";
    case ErrorKind::Unavailable:
      return is_overload(error) ? "overloaded_error" : "api_error";
    case ErrorKind::Internal:
    case ErrorKind::NotImplemented:
      return "api_error";
    case ErrorKind::InvalidRequest:
    case ErrorKind::WrongMethod:
    case ErrorKind::RequestTimeout:
    case ErrorKind::HeadTooLarge:
      return "invalid_request_error";
  }
  return "api_error";
}

}  // namespace

Json error_object(const ApiError& error, std::string_view request_id) {
  Json object = {{"type", "error"},
                 {"error", {{"type", type_of(error)}, {"message", error.message}}}};
  object["request_id"] = request_id.empty() ? Json(nullptr) : Json(request_id);
  return object;
}

Response render_error(const ApiError& error, const Request& request) {
  Response response = start_error_response(error);
  if (is_overload(error)) response.status = kOverloaded;
  response.body = dump(error_object(error, request.id));
  return response;
}

}  // namespace symbiont::api::anthropic
