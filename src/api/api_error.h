#ifndef SYMBIONT_API_API_ERROR_H_
#define SYMBIONT_API_API_ERROR_H_

// What went wrong, before an API has put it into its own words. Messages are for callers outside:
// no paths, no addresses, no names of other agents. The log has the rest, under the execution id.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "symbiont/engine.h"

#include "api/http.h"
#include "engine/dispatcher.h"

namespace symbiont::api {

enum class ErrorKind : std::uint8_t {
  InvalidRequest,   ///< 400
  Unauthenticated,  ///< 401
  Forbidden,        ///< 403
  NotFound,         ///< 404: no such path or object
  ModelNotFound,    ///< 404: also when it is another agent's
  WrongMethod,      ///< 405
  RequestTimeout,   ///< 408: the request did not arrive in time
  TooLarge,         ///< 413
  HeadTooLarge,     ///< 431
  RateLimited,      ///< 429: a quota or a queue of this agent
  Internal,         ///< 500
  NotImplemented,   ///< 501: the API has it, this server has not
  Unavailable,      ///< 503: later, perhaps
  Timeout,          ///< 504: the execution's deadline passed
};

struct ApiError {
  ErrorKind kind = ErrorKind::Internal;
  std::string message;
  std::string param{};  ///< the field that is wrong; empty = none
  std::string code{};   ///< for programs: "unknown_parameter", "invalid_api_key"; empty = none
  int retry_after_seconds = 0;  ///< 0 = not said
  std::vector<Header> headers{};
};

/// Where a request holds what the engine may find wrong: errors name that. Empty: as the engine
/// calls it.
struct FieldNames {
  std::string schema{};  ///< of the answer
  std::string prompt{};
};

[[nodiscard]] int status_of(ErrorKind kind);

/// `model_id` is the model that was asked for. An AccessDenied there is nobody else's business.
[[nodiscard]] ApiError to_api_error(const EngineError& error,
                                    std::string_view model_id,
                                    const FieldNames& fields = {});
[[nodiscard]] ApiError to_api_error(const Refusal& refusal);

[[nodiscard]] ApiError model_not_found(std::string_view model_id);

/// Puts an error into the words of one API. Of `request` only what admit() filled in may be used.
using ErrorRenderer = Response (*)(const ApiError& error, const Request& request);

/// The part that all renderers share: status, Retry-After, the error's own headers.
[[nodiscard]] Response start_error_response(const ApiError& error);

}  // namespace symbiont::api

#endif  // SYMBIONT_API_API_ERROR_H_
