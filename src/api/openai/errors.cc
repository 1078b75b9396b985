#include "api/openai/errors.h"

#include <string_view>

namespace symbiont::api::openai {
namespace {

std::string_view type_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::Unauthenticated:
      return "authentication_error";
    case ErrorKind::Forbidden:
      return "permission_error";
    case ErrorKind::RateLimited:
      return "rate_limit_error";
    case ErrorKind::Internal:
    case ErrorKind::NotImplemented:
    case ErrorKind::Unavailable:
    case ErrorKind::Timeout:
      return "server_error";
    case ErrorKind::InvalidRequest:
    case ErrorKind::NotFound:
    case ErrorKind::ModelNotFound:
    case ErrorKind::WrongMethod:
    case ErrorKind::RequestTimeout:
    case ErrorKind::TooLarge:
    case ErrorKind::HeadTooLarge:
      return "invalid_request_error";
  }
  return "server_error";
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

}  // namespace

Json error_object(const ApiError& error) {
  return {{"error",
           {{"message", error.message},
            {"type", type_of(error.kind)},
            {"param", text_or_null(error.param)},
            {"code", text_or_null(error.code)}}}};
}

Response render_error(const ApiError& error, const Request& /*request*/) {
  Response response = start_error_response(error);
  response.body = dump(error_object(error));
  return response;
}

}  // namespace symbiont::api::openai
