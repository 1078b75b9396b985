#include "api/ollama/models.h"

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <system_error>
#include <variant>

#include "symbiont/version.h"

#include "api/json.h"
#include "api/ollama/options.h"
#include "api/request_fields.h"
#include "base/result.h"

namespace symbiont::api::ollama {
namespace {

/// Nobody knows more about a model here than its configuration says; a header of a model file is
/// not read by the server.
Json details_of(const Model& model) {
  const bool is_file = std::holds_alternative<provider::LocalFile>(model.provider);
  return {{"parent_model", ""},   {"format", is_file ? "gguf" : ""},
          {"family", ""},         {"families", nullptr},
          {"parameter_size", ""}, {"quantization_level", ""}};
}

/// 0 for what is not a file, or not there at the moment.
std::uint64_t bytes_of(const Model& model) {
  const auto* file = std::get_if<provider::LocalFile>(&model.provider);
  if (file == nullptr) return 0;
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(file->file_path, error);
  return error ? 0 : size;
}

Json model_object(const Gateway& gateway, const Model& model) {
  return {{"name", model.id},
          {"model", model.id},
          {"modified_at", timestamp(gateway.started_at)},
          {"size", bytes_of(model)},
          {"digest", model.sha256},
          {"details", details_of(model)}};
}

Json capabilities_of(const Model& model) {
  Json capabilities = Json::array();
  if (model.capabilities.contains(ModelCapability::TextGeneration) ||
      model.capabilities.contains(ModelCapability::CodeGeneration)) {
    capabilities.push_back("completion");
    capabilities.push_back("tools");
  }
  if (model.capabilities.contains(ModelCapability::Embeddings)) capabilities.push_back("embedding");
  return capabilities;
}

}  // namespace

Handled list_models(Gateway& gateway, const Request& request) {
  SYMBIONT_TRY_STATUS(refuse_query(request));
  const ModelCatalog catalog = gateway.engine->catalog();
  Json models = Json::array();
  for (const Model* model : catalog.get_models_for_agent(request.identity.agent))
    models.push_back(model_object(gateway, *model));
  return Response{.body = dump({{"models", std::move(models)}})};
}

Handled show_model(Gateway& gateway, const Request& request) {
  SYMBIONT_TRY_STATUS(refuse_query(request));
  SYMBIONT_TRY(const Json body, parse_object(request.body));
  Fields fields(body);
  // "name" is what older clients call it.
  const bool is_older = fields.find("model") == nullptr && fields.find("name") != nullptr;
  const std::string name = read_model(fields, is_older ? "name" : "model");
  fields.unsupported_unless("verbose", false);
  SYMBIONT_TRY_STATUS(fields.finish());
  const ModelCatalog catalog = gateway.engine->catalog();
  const std::string id = resolve_model(gateway, request.identity.agent, name);
  if (!catalog.validate_model_access(id, request.identity.agent).has_value()) {
    return std::unexpected(model_not_found(name));
  }
  const Model& model = *catalog.get_model(id);
  return Response{.body = dump({{"modelfile", ""},
                                {"parameters", ""},
                                {"template", ""},
                                {"details", details_of(model)},
                                {"model_info", {{"general.name", model.name}}},
                                {"capabilities", capabilities_of(model)},
                                {"modified_at", timestamp(gateway.started_at)}})};
}

Handled list_running(Gateway& gateway, const Request& request) {
  SYMBIONT_TRY_STATUS(refuse_query(request));
  const ModelCatalog catalog = gateway.engine->catalog();
  std::set<std::string> ids;
  for (const ExecutionInfo& info : gateway.dispatcher->list()) {
    if (info.agent == request.identity.agent) ids.insert(info.model_id);
  }
  Json models = Json::array();
  for (const std::string& id : ids) {
    // What was asked for need not exist.
    if (!catalog.validate_model_access(id, request.identity.agent).has_value()) continue;
    Json object = model_object(gateway, *catalog.get_model(id));
    object.erase("modified_at");
    object["size_vram"] = 0;
    models.push_back(std::move(object));
  }
  return Response{.body = dump({{"models", std::move(models)}})};
}

Handled version(Gateway& /*gateway*/, const Request& request) {
  SYMBIONT_TRY_STATUS(refuse_query(request));
  return Response{.body = dump({{"version", kVersion}})};
}

}  // namespace symbiont::api::ollama
