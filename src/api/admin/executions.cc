#include "api/admin/executions.h"

#include "api/json.h"

namespace symbiont::api::admin {

Handled list_executions(Gateway& gateway, const Request& /*request*/) {
  Json executions = Json::array();
  for (const ExecutionInfo& info : gateway.dispatcher->list()) {
    executions.push_back({{"execution_id", info.id},
                          {"agent", info.agent},
                          {"model", info.model_id},
                          {"state", to_string(info.state)},
                          {"age_ms", info.age.count()}});
  }
  return Response{.body = dump({{"executions", std::move(executions)}})};
}

Handled cancel_execution(Gateway& gateway, const Request& request) {
  const std::string& id = request.path_parameter;
  if (gateway.dispatcher->cancel(id)) return Response{.body = dump({{"cancelled", id}})};
  return std::unexpected(ApiError{.kind = ErrorKind::NotFound,
                                  .message = "No execution under way has this id.",
                                  .code = "execution_not_found"});
}

Handled reload(Gateway& gateway, const Request& /*request*/) {
  if (gateway.reload == nullptr) {
    return std::unexpected(ApiError{.kind = ErrorKind::InvalidRequest,
                                    .message = "This server was started without a configuration.",
                                    .code = "no_configuration"});
  }
  const auto answer = [](const Gateway::TakeOver& take_over) -> std::expected<Response, ApiError> {
    if (auto done = take_over(); !done.has_value()) {
      return std::unexpected(ApiError{.kind = ErrorKind::InvalidRequest,
                                      .message = done.error(),
                                      .code = "invalid_configuration"});
    }
    return Response{.body = dump({{"reloaded", true}})};
  };
  return Later{[read = gateway.reload, answer] {
    return [take_over = read(), answer] { return answer(take_over); };
  }};
}

}  // namespace symbiont::api::admin
