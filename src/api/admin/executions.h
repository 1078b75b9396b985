#ifndef SYMBIONT_API_ADMIN_EXECUTIONS_H_
#define SYMBIONT_API_ADMIN_EXECUTIONS_H_

#include "api/answer.h"
#include "api/gateway.h"

namespace symbiont::api::admin {

/// GET /admin/executions: what is queued and running, of all agents.
[[nodiscard]] Handled list_executions(Gateway& gateway, const Request& request);
/// DELETE /admin/executions/{id}
[[nodiscard]] Handled cancel_execution(Gateway& gateway, const Request& request);
/// POST /admin/reload: the configuration is read again, or the old one stays.
[[nodiscard]] Handled reload(Gateway& gateway, const Request& request);

}  // namespace symbiont::api::admin

#endif  // SYMBIONT_API_ADMIN_EXECUTIONS_H_
