#include "api/anthropic/models.h"

#include "api/json.h"
#include "api/request_fields.h"
#include "base/result.h"

namespace symbiont::api::anthropic {
namespace {

Json model_object(const Gateway& gateway, const Model& model) {
  return {{"type", "model"},
          {"id", model.id},
          {"display_name", model.name},
          {"created_at", timestamp(gateway.started_at)}};
}

}  // namespace

Handled list_models(Gateway& gateway, const Request& request) {
  SYMBIONT_TRY_STATUS(refuse_query(request));
  const ModelCatalog catalog = gateway.engine->catalog();
  Json data = Json::array();
  for (const Model* model : catalog.get_models_for_agent(request.identity.agent))
    data.push_back(model_object(gateway, *model));
  Json list = {{"data", data}, {"has_more", false}};
  list["first_id"] = data.empty() ? Json(nullptr) : data.front()["id"];
  list["last_id"] = data.empty() ? Json(nullptr) : data.back()["id"];
  return Response{.body = dump(list)};
}

Handled get_model(Gateway& gateway, const Request& request) {
  SYMBIONT_TRY_STATUS(refuse_query(request));
  const ModelCatalog catalog = gateway.engine->catalog();
  const std::string& id = request.path_parameter;
  if (!catalog.validate_model_access(id, request.identity.agent).has_value()) {
    return std::unexpected(model_not_found(id));
  }
  return Response{.body = dump(model_object(gateway, *catalog.get_model(id)))};
}

}  // namespace symbiont::api::anthropic
