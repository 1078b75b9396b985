#ifndef SYMBIONT_API_GATEWAY_H_
#define SYMBIONT_API_GATEWAY_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "symbiont/engine.h"

#include "api/api_error.h"
#include "api/http.h"
#include "engine/dispatcher.h"

namespace symbiont::api {

/// What handlers may use. One object a server; outlives every request. Threads: the loop's only.
struct Gateway {
  Engine* engine = nullptr;          ///< never null while serving
  Dispatcher* dispatcher = nullptr;  ///< never null while serving
  /// Reads the configuration again, on any thread, which may take a while; what comes back takes it
  /// over, on the loop's. The error is one line for an administrator. May be null.
  using TakeOver = std::function<std::expected<void, std::string>()>;
  std::function<TakeOver()> reload;
  std::function<std::string()> metrics_text;  ///< Prometheus text; may be null
  std::chrono::milliseconds execution_timeout = std::chrono::minutes(5);  ///< set by the server
  std::int64_t started_at = 0;                                            ///< seconds since 1970
  bool is_draining = false;
};

/// An execution of `request`'s agent on `model_id`, with what the server says about time.
[[nodiscard]] inline EngineRequest start_engine_request(const Gateway& gateway,
                                                        const Request& request,
                                                        std::string model_id) {
  EngineRequest engine_request;
  engine_request.agent = request.identity.agent;
  engine_request.model_id = std::move(model_id);
  engine_request.options.timeout = gateway.execution_timeout;
  return engine_request;
}

}  // namespace symbiont::api

#endif  // SYMBIONT_API_GATEWAY_H_
