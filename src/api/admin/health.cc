#include "api/admin/health.h"

#include "api/json.h"

namespace symbiont::api::admin {

Handled healthz(Gateway& /*gateway*/, const Request& /*request*/) {
  return Response{.body = dump({{"status", "ok"}})};
}

Handled readyz(Gateway& gateway, const Request& /*request*/) {
  if (!gateway.is_draining) return Response{.body = dump({{"status", "ready"}})};
  return Response{.status = 503, .body = dump({{"status", "draining"}})};
}

Handled metrics(Gateway& gateway, const Request& /*request*/) {
  Response response{.content_type = "text/plain; version=0.0.4; charset=utf-8"};
  if (gateway.metrics_text != nullptr) response.body = gateway.metrics_text();
  return response;
}

}  // namespace symbiont::api::admin
