#include "api/api_error.h"

#include <fmt/format.h>

#include "base/strings.h"

namespace symbiont::api {
namespace {

template <typename... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

ApiError make(ErrorKind kind, std::string message, std::string code) {
  return {.kind = kind, .message = std::move(message), .code = std::move(code)};
}

}  // namespace

ApiError model_not_found(std::string_view model_id) {
  return {.kind = ErrorKind::ModelNotFound,
          .message = fmt::format("The model {} does not exist or you do not have access to it.",
                                 symbiont::quoted(model_id)),
          .param = "model",
          .code = "model_not_found"};
}

namespace {

ApiError invalid_input(const runner_error::InvalidInput& error, const FieldNames& fields) {
  const bool is_schema = error.field == "json_schema" && !fields.schema.empty();
  const bool is_prompt = error.field == "prompt" && !fields.prompt.empty();
  const std::string& field = is_schema ? fields.schema : is_prompt ? fields.prompt : error.field;
  ApiError api =
      make(ErrorKind::InvalidRequest, fmt::format("{}: {}", field, error.reason), "invalid_value");
  api.param = field;
  // The worker found more tokens than the context holds: clients look for this very code.
  if (!is_schema && error.reason.find("the context holds") != std::string::npos) {
    api.code = "context_length_exceeded";
  }
  return api;
}

ApiError limit_exceeded(const runner_error::ResourceLimitExceeded& error) {
  if (error.resource == "runners") {
    ApiError busy = make(ErrorKind::Unavailable, "All models are busy. Try again later.", "busy");
    busy.retry_after_seconds = 5;
    return busy;
  }
  return make(ErrorKind::Internal,
              fmt::format("The execution reached its {} limit.", error.resource),
              "resource_limit_exceeded");
}

ApiError from_runner(const SlmRunnerError& error, const FieldNames& fields) {
  using namespace runner_error;  // NOLINT(google-build-using-namespace): eleven kinds, one function
  const auto unusable = [](const auto&) {
    return make(ErrorKind::Unavailable, "The model cannot be run at the moment.",
                "model_unavailable");
  };
  return std::visit(
      Overloaded{
          [&](const InvalidInput& e) { return invalid_input(e, fields); },
          [](const ResourceLimitExceeded& e) { return limit_exceeded(e); },
          [](const ExecutionTimeout& e) {
            return make(ErrorKind::Timeout,
                        fmt::format("No complete answer within {} ms.", e.limit.count()),
                        "timeout");
          },
          [](const Cancelled&) {
            return make(ErrorKind::Unavailable, "The execution was cancelled.", "cancelled");
          },
          [](const SandboxViolation&) {
            return make(ErrorKind::Internal,
                        "The execution was ended because it broke the rules of its sandbox.",
                        "sandbox_violation");
          },
          [](const ControlUnavailable&) {
            return make(ErrorKind::Unavailable,
                        "This host cannot enforce the sandbox that the model needs.",
                        "sandbox_unavailable");
          },
          [&](const InitializationFailed& e) { return unusable(e); },
          [&](const ModelFileNotFound& e) { return unusable(e); },
          [&](const ModelInvalid& e) { return unusable(e); },
          [](const ExecutionFailed&) {
            return make(ErrorKind::Internal, "The execution failed.", "execution_failed");
          },
          [](const IoError&) {
            return make(ErrorKind::Internal, "The execution failed.", "execution_failed");
          },
      },
      error.detail());
}

ApiError from_catalog(const ModelCatalogError& error, std::string_view model_id) {
  using E = ModelCatalogError;
  // One answer for all three: whether a model exists is nothing that a stranger may find out.
  if (error.get_if<E::ModelNotFound>() != nullptr || error.get_if<E::AccessDenied>() != nullptr ||
      error.get_if<E::NoModelsForAgent>() != nullptr) {
    return model_not_found(model_id);
  }
  return make(ErrorKind::Internal, "The configuration of the server does not allow this.",
              "misconfigured");
}

}  // namespace

int status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::InvalidRequest:
      return 400;
    case ErrorKind::Unauthenticated:
      return 401;
    case ErrorKind::Forbidden:
      return 403;
    case ErrorKind::NotFound:
    case ErrorKind::ModelNotFound:
      return 404;
    case ErrorKind::WrongMethod:
      return 405;
    case ErrorKind::RequestTimeout:
      return 408;
    case ErrorKind::TooLarge:
      return 413;
    case ErrorKind::HeadTooLarge:
      return 431;
    case ErrorKind::RateLimited:
      return 429;
    case ErrorKind::Internal:
      return 500;
    case ErrorKind::NotImplemented:
      return 501;
    case ErrorKind::Unavailable:
      return 503;
    case ErrorKind::Timeout:
      return 504;
  }
  return 500;
}

ApiError to_api_error(const EngineError& error,
                      std::string_view model_id,
                      const FieldNames& fields) {
  if (const auto* catalog = std::get_if<ModelCatalogError>(&error)) {
    return from_catalog(*catalog, model_id);
  }
  return from_runner(std::get<SlmRunnerError>(error), fields);
}

ApiError to_api_error(const Refusal& refusal) {
  ApiError error;
  switch (refusal.reason) {
    case Refusal::Reason::AgentQueueFull:
      error = make(ErrorKind::RateLimited, "Too many requests of yours are waiting.",
                   "rate_limit_exceeded");
      break;
    case Refusal::Reason::QueueFull:
      error = make(ErrorKind::RateLimited, "Too many requests are waiting.", "rate_limit_exceeded");
      break;
    case Refusal::Reason::Draining:
      error = make(ErrorKind::Unavailable, "The server is shutting down.", "shutting_down");
      break;
  }
  error.retry_after_seconds = static_cast<int>(refusal.retry_after.count());
  return error;
}

Response start_error_response(const ApiError& error) {
  Response response{.status = status_of(error.kind), .headers = error.headers};
  if (error.retry_after_seconds > 0) {
    response.headers.push_back({"Retry-After", std::to_string(error.retry_after_seconds)});
  }
  return response;
}

}  // namespace symbiont::api
