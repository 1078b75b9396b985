#include "api/ollama/errors.h"

namespace symbiont::api::ollama {
namespace {

std::unexpected<ApiError> not_implemented(std::string message) {
  return std::unexpected(ApiError{
      .kind = ErrorKind::NotImplemented, .message = std::move(message), .code = "not_implemented"});
}

}  // namespace

Json error_object(const ApiError& error) {
  return {{"error", error.message}};
}

Response render_error(const ApiError& error, const Request& /*request*/) {
  Response response = start_error_response(error);
  response.body = dump(error_object(error));
  return response;
}

Handled refuse_management(Gateway& /*gateway*/, const Request& /*request*/) {
  return not_implemented(
      "Models of this server are managed in its configuration, not over the network.");
}

}  // namespace symbiont::api::ollama
