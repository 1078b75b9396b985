#include "api/service.h"

#include <utility>
#include <variant>

#include "api/middlewares/request_id.h"
#include "base/result.h"

namespace symbiont::api {

std::expected<const Route*, ApiError> Service::find_and_authorize(Request& request) {
  SYMBIONT_TRY(RouteMatch match, find_route(request.method, request.path));
  request.path_parameter = std::move(match.parameter);
  // Public paths are for probes, which have no key.
  if (match.route->scope == Scope::Public) return match.route;
  using std::chrono::system_clock;
  auto identity =
      policies_.authenticator.identify(request, system_clock::to_time_t(system_clock::now()));
  if (auto problem = policies_.authenticator.take_problem(); problem.has_value()) {
    log_->error("keys_file_unusable", {{"message", problem->message()}});
  }
  if (!identity.has_value()) return std::unexpected(std::move(identity).error());
  request.identity = *std::move(identity);
  if (auto denied = check_scope(request.identity, match.route->scope); denied.has_value()) {
    return std::unexpected(*std::move(denied));
  }
  // Only inference is counted: an administrator can look in any case.
  if (match.route->scope == Scope::Inference) {
    auto exceeded =
        policies_.quotas->take_request(request.identity.agent, std::chrono::steady_clock::now());
    if (exceeded.has_value()) return std::unexpected(*std::move(exceeded));
  }
  return match.route;
}

std::expected<const Route*, Response> Service::admit(Request& request) {
  const ErrorRenderer render = error_renderer_for(request);
  request.id = request_id_for(request);  // first: every answer carries it
  // Before anything that depends on who asks: a page with a foreign name has no business here.
  if (auto refused = policies_.host_check.check(request); refused.has_value()) {
    return std::unexpected(render(*refused, request));
  }
  auto cors = policies_.cors.check(request);
  if (auto* refused = std::get_if<ApiError>(&cors))
    return std::unexpected(render(*refused, request));
  if (auto* answer = std::get_if<Response>(&cors)) return std::unexpected(std::move(*answer));
  auto route = find_and_authorize(request);
  if (!route.has_value()) return std::unexpected(render(route.error(), request));
  return *route;
}

void Service::set_policies(Policies policies) {
  // What has been used of a limit stays used when the limit is the same.
  if (policies.quotas->limits() == policies_.quotas->limits()) policies.quotas = policies_.quotas;
  policies_ = std::move(policies);
}

void Service::decorate(const Request& request, Response& response) const {
  if (!request.id.empty()) {
    response.headers.push_back({"x-request-id", request.id});
    response.headers.push_back({"request-id", request.id});  // where Anthropic's clients look
  }
  response.headers.push_back({"X-Content-Type-Options", "nosniff"});
  response.headers.push_back({"Cache-Control", "no-store"});
  for (Header& header : policies_.cors.headers_for(request))
    response.headers.push_back(std::move(header));
}

}  // namespace symbiont::api
