#include "api/routes.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "api/admin/executions.h"
#include "api/admin/health.h"
#include "api/openai/chat.h"
#include "api/openai/completions.h"
#include "api/openai/errors.h"
#include "api/openai/models.h"

namespace symbiont::api {
namespace {

constexpr std::string_view kParameter = "{id}";

constexpr Route kRoutes[] = {
    {Method::Get, "/healthz", Scope::Public, admin::healthz, openai::render_error},
    {Method::Get, "/readyz", Scope::Public, admin::readyz, openai::render_error},
    {Method::Get, "/metrics", Scope::Read, admin::metrics, openai::render_error},

    {Method::Get, "/v1/models", Scope::Inference, openai::list_models, openai::render_error},
    {Method::Get, "/v1/models/{id}", Scope::Inference, openai::get_model, openai::render_error},
    {Method::Post, "/v1/chat/completions", Scope::Inference, openai::create_chat_completion,
     openai::render_error},
    {Method::Post, "/v1/completions", Scope::Inference, openai::create_completion,
     openai::render_error},

    {Method::Get, "/admin/executions", Scope::Admin, admin::list_executions, openai::render_error},
    {Method::Delete, "/admin/executions/{id}", Scope::Admin, admin::cancel_execution,
     openai::render_error},
    {Method::Post, "/admin/reload", Scope::Admin, admin::reload, openai::render_error},
};

/// Whether `path` is one of `pattern`'s; `parameter` is what stands for {id}, as sent.
bool matches(std::string_view pattern, std::string_view path, std::string_view& parameter) {
  parameter = {};
  if (!pattern.ends_with(kParameter)) return path == pattern;
  pattern.remove_suffix(kParameter.size());
  if (!path.starts_with(pattern) || path.size() == pattern.size()) return false;
  parameter = path.substr(pattern.size());
  return true;
}

}  // namespace

std::span<const Route> routes() {
  return kRoutes;
}

std::expected<RouteMatch, ApiError> find_route(Method method, std::string_view path) {
  std::string allowed;
  for (const Route& route : kRoutes) {
    std::string_view parameter;
    if (!matches(route.pattern, path, parameter)) continue;
    if (route.method == method) {
      RouteMatch match{.route = &route, .parameter = {}};
      if (percent_decode(parameter, match.parameter)) return match;
      allowed.clear();
      break;
    }
    if (!allowed.empty()) allowed += ", ";
    allowed += to_string(route.method);
  }
  if (allowed.empty()) {
    return std::unexpected(ApiError{.kind = ErrorKind::NotFound,
                                    .message = "There is nothing at this path.",
                                    .code = "unknown_url"});
  }
  return std::unexpected(ApiError{.kind = ErrorKind::WrongMethod,
                                  .message = "This path does not have this method.",
                                  .code = "method_not_allowed",
                                  .headers = {{"Allow", allowed}}});
}

ErrorRenderer error_renderer_for(std::string_view /*path*/) {
  return openai::render_error;
}

}  // namespace symbiont::api
