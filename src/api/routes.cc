#include "api/routes.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "api/admin/executions.h"
#include "api/admin/health.h"
#include "api/anthropic/errors.h"
#include "api/anthropic/messages.h"
#include "api/anthropic/models.h"
#include "api/ollama/embed.h"
#include "api/ollama/errors.h"
#include "api/ollama/generate.h"
#include "api/ollama/models.h"
#include "api/openai/chat.h"
#include "api/openai/completions.h"
#include "api/openai/embeddings.h"
#include "api/openai/errors.h"
#include "api/openai/models.h"
#include "api/openai/responses.h"
#include "api/openapi.h"

namespace symbiont::api {
namespace {

constexpr std::string_view kParameter = "{id}";

// /v1/models is both OpenAI's and Anthropic's; only the latter's clients name a version.
Handled list_models(Gateway& gateway, const Request& request) {
  return anthropic::is_client(request) ? anthropic::list_models(gateway, request)
                                       : openai::list_models(gateway, request);
}

Handled get_model(Gateway& gateway, const Request& request) {
  return anthropic::is_client(request) ? anthropic::get_model(gateway, request)
                                       : openai::get_model(gateway, request);
}

Response render_models_error(const ApiError& error, const Request& request) {
  return anthropic::is_client(request) ? anthropic::render_error(error, request)
                                       : openai::render_error(error, request);
}

constexpr Route kRoutes[] = {
    {Method::Get, "/healthz", Scope::Public, admin::healthz, openai::render_error},
    {Method::Get, "/readyz", Scope::Public, admin::readyz, openai::render_error},
    {Method::Get, "/metrics", Scope::Read, admin::metrics, openai::render_error},
    {Method::Get, "/openapi.json", Scope::Read, get_openapi, openai::render_error},

    {Method::Get, "/v1/models", Scope::Inference, list_models, render_models_error},
    {Method::Get, "/v1/models/{id}", Scope::Inference, get_model, render_models_error},
    {Method::Post, "/v1/chat/completions", Scope::Inference, openai::create_chat_completion,
     openai::render_error},
    {Method::Post, "/v1/completions", Scope::Inference, openai::create_completion,
     openai::render_error},

    {Method::Post, "/v1/embeddings", Scope::Inference, openai::create_embeddings,
     openai::render_error},
    {Method::Post, "/v1/responses", Scope::Inference, openai::create_response,
     openai::render_error},

    {Method::Post, "/v1/messages", Scope::Inference, anthropic::create_message,
     anthropic::render_error},
    {Method::Post, "/v1/messages/count_tokens", Scope::Inference, anthropic::count_tokens,
     anthropic::render_error},

    {Method::Post, "/api/chat", Scope::Inference, ollama::chat, ollama::render_error},
    {Method::Post, "/api/generate", Scope::Inference, ollama::generate, ollama::render_error},
    {Method::Get, "/api/tags", Scope::Inference, ollama::list_models, ollama::render_error},
    {Method::Post, "/api/show", Scope::Inference, ollama::show_model, ollama::render_error},
    {Method::Get, "/api/ps", Scope::Inference, ollama::list_running, ollama::render_error},
    {Method::Get, "/api/version", Scope::Inference, ollama::version, ollama::render_error},
    {Method::Post, "/api/pull", Scope::Inference, ollama::refuse_management, ollama::render_error},
    {Method::Post, "/api/push", Scope::Inference, ollama::refuse_management, ollama::render_error},
    {Method::Post, "/api/create", Scope::Inference, ollama::refuse_management,
     ollama::render_error},
    {Method::Post, "/api/copy", Scope::Inference, ollama::refuse_management, ollama::render_error},
    {Method::Delete, "/api/delete", Scope::Inference, ollama::refuse_management,
     ollama::render_error},
    {Method::Post, "/api/blobs/{id}", Scope::Inference, ollama::refuse_management,
     ollama::render_error},
    {Method::Post, "/api/embed", Scope::Inference, ollama::embed, ollama::render_error},
    {Method::Post, "/api/embeddings", Scope::Inference, ollama::embed_one, ollama::render_error},

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

ErrorRenderer error_renderer_for(const Request& request) {
  const std::string_view path = request.path;
  if (path.starts_with("/api/")) return ollama::render_error;
  const bool is_anthropic = path == "/v1/messages" || path.starts_with("/v1/messages/") ||
                            (path.starts_with("/v1/") && anthropic::is_client(request));
  return is_anthropic ? anthropic::render_error : openai::render_error;
}

}  // namespace symbiont::api
