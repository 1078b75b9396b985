#ifndef SYMBIONT_API_ADMIN_HEALTH_H_
#define SYMBIONT_API_ADMIN_HEALTH_H_

#include "api/answer.h"
#include "api/gateway.h"

namespace symbiont::api::admin {

/// GET /healthz: 200 while the process answers.
[[nodiscard]] Handled healthz(Gateway& gateway, const Request& request);
/// GET /readyz: 200 while new executions are accepted.
[[nodiscard]] Handled readyz(Gateway& gateway, const Request& request);
/// GET /metrics: Prometheus text.
[[nodiscard]] Handled metrics(Gateway& gateway, const Request& request);

}  // namespace symbiont::api::admin

#endif  // SYMBIONT_API_ADMIN_HEALTH_H_
