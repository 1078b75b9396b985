#include "api/openai/models.h"

#include "api/json.h"

namespace symbiont::api::openai {
namespace {

Json model_object(const Gateway& gateway, const Model& model) {
  return {{"id", model.id},
          {"object", "model"},
          {"created", gateway.started_at},
          {"owned_by", "symbiont"}};
}

}  // namespace

Handled list_models(Gateway& gateway, const Request& request) {
  const ModelCatalog catalog = gateway.engine->catalog();
  Json data = Json::array();
  for (const Model* model : catalog.get_models_for_agent(request.identity.agent))
    data.push_back(model_object(gateway, *model));
  return Response{.body = dump({{"object", "list"}, {"data", std::move(data)}})};
}

Handled get_model(Gateway& gateway, const Request& request) {
  const ModelCatalog catalog = gateway.engine->catalog();
  const std::string& id = request.path_parameter;
  if (!catalog.validate_model_access(id, request.identity.agent).has_value()) {
    return std::unexpected(model_not_found(id));
  }
  return Response{.body = dump(model_object(gateway, *catalog.get_model(id)))};
}

}  // namespace symbiont::api::openai
