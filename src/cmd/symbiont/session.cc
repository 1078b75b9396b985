#include "cmd/symbiont/session.h"

#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/result.h"
#include "base/strings.h"

namespace symbiont::cli {
namespace {

constexpr std::string_view kBuiltInProfile = "secure";

bool looks_like_path(std::string_view model) {
  return model.find('/') != std::string_view::npos || model.ends_with(".gguf");
}

bool exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

Model* find_model(Slm& slm, std::string_view id) {
  for (Model& model : slm.model_allow_lists.global_models) {
    if (model.id == id) return &model;
  }
  return nullptr;
}

/// The configuration when one is asked for or needed; nothing when a file can do without.
std::expected<std::optional<Slm>, Failure> configuration(const RunOptions& options) {
  const bool named_profile = !options.profile.empty() && options.profile != kBuiltInProfile;
  const bool is_path = looks_like_path(options.model);
  const bool wanted = !is_path || !options.config.empty() || !options.agent.empty();
  if (!wanted && !named_profile) return std::nullopt;
  const bool needed = !options.config.empty() || named_profile ||
                      (!is_path && (options.model.empty() || !exists(options.model)));
  const bool found = !find_config(options.config).empty();
  if (!needed && !found) return std::nullopt;
  if (!found && !named_profile && !options.model.empty()) {
    return std::unexpected(
        Failure{ExitCode::ModelNotFound, "ModelNotFound",
                fmt::format("there is no model {}: no file of this name, and no configuration",
                            symbiont::quoted(options.model)),
                "give the path of a GGUF file, or name a configuration with --config"});
  }
  SYMBIONT_TRY(Slm slm, load_config(options.config));
  return slm;
}

/// A catalogue of one for a file named on the command line.
std::expected<void, Failure> add_file(Slm& slm, const RunOptions& options, bool configured) {
  if (configured && !options.agent.empty()) {
    return std::unexpected(Failure{
        ExitCode::AccessDenied, "AccessDenied",
        fmt::format("agent {} may use models of the catalogue only, and {} is none",
                    symbiont::quoted(options.agent), symbiont::quoted(options.model)),
        fmt::format("'symbiont models list --agent {}' shows them; without --agent any file runs",
                    options.agent)});
  }
  std::error_code error;
  const std::filesystem::path path = std::filesystem::absolute(options.model, error);
  if (error) {
    return std::unexpected(usage_failure(fmt::format("--model: {}", error.message())));
  }
  Model model;
  model.id = options.model;
  model.name = path.filename().string();
  model.provider = provider::LocalFile{path};
  model.capabilities = {ModelCapability::TextGeneration};
  model.sandbox_profile = options.profile.empty() ? std::string(kBuiltInProfile) : options.profile;
  slm.model_allow_lists.global_models.push_back(std::move(model));
  return {};
}

Failure no_model_named(const Slm& slm) {
  std::string ids;
  for (const Model& model : slm.model_allow_lists.global_models) {
    if (!ids.empty()) ids += ", ";
    ids += model.id;
  }
  return usage_failure(
      "no model is named: --model ID|PATH",
      ids.empty() ? "give the path of a GGUF file" : fmt::format("the configuration has {}", ids));
}

/// Lets the operator use everything, unless the configuration says what `operator` may use.
void admit_operator(Slm& slm) {
  auto& maps = slm.model_allow_lists.agent_model_maps;
  if (!maps.has_value()) return;
  std::vector<std::string> all;
  all.reserve(slm.model_allow_lists.global_models.size());
  for (const Model& model : slm.model_allow_lists.global_models)
    all.push_back(model.id);
  maps->try_emplace(kOperator, std::move(all));
}

/// --set changes the profile that the execution runs under, in this process's copy only.
std::expected<void, Failure> apply_sets(Slm& slm, const Model& model, const RunOptions& options) {
  if (options.sets.empty()) return {};
  std::string name = options.profile;
  if (name.empty()) name = model.sandbox_profile;
  if (name.empty()) name = slm.default_sandbox_profile;
  auto found = slm.sandbox_profiles.find(name);
  if (found == slm.sandbox_profiles.end()) {
    if (name != kBuiltInProfile) return {};  // the catalogue says that it does not exist
    found = slm.sandbox_profiles.emplace(name, SandboxProfile{}).first;
  }
  for (const std::string& assignment : options.sets) {
    SYMBIONT_TRY_STATUS(set_profile_field(found->second, assignment));
  }
  return {};
}

/// The model that was asked for, or the only one there is; empty when neither.
std::string chosen_id(const Slm& slm, const RunOptions& options) {
  const auto& models = slm.model_allow_lists.global_models;
  return options.model.empty() && models.size() == 1 ? models.front().id : options.model;
}

EngineRequest make_request(const RunOptions& options, const std::string& id, bool is_file) {
  EngineRequest request;
  request.agent = options.agent.empty() ? kOperator : options.agent;
  request.model_id = id;
  if (!options.profile.empty() && !is_file) request.profile = options.profile;
  return request;
}

std::expected<ModelCatalog, Failure> make_catalog(const Slm& slm, bool configured) {
  auto catalog = ModelCatalog::create(slm);
  if (catalog.has_value()) return *std::move(catalog);
  Failure failure = to_failure(catalog.error());
  // Without a configuration the numbers can only come from the command line.
  if (!configured && failure.kind == "InvalidConfig") {
    failure = usage_failure(std::move(failure.message), "check the values of --set");
  }
  return std::unexpected(std::move(failure));
}

}  // namespace

std::expected<Session, Failure> open_session(const RunOptions& options,
                                             std::function<void(float fraction)> on_load_progress) {
  SYMBIONT_TRY(ExecutionOptions execution, execution_options(options));
  if (options.model.empty() && options.config.empty() && find_config("").empty()) {
    return std::unexpected(usage_failure("no model is named: --model ID|PATH",
                                         "as in: symbiont run --model model.gguf \"a question\""));
  }
  SYMBIONT_TRY(std::optional<Slm> loaded, configuration(options));
  const bool configured = loaded.has_value();
  Slm slm = std::move(loaded).value_or(Slm{});
  const std::string id = chosen_id(slm, options);
  if (id.empty()) return std::unexpected(no_model_named(slm));

  const bool is_file = find_model(slm, id) == nullptr && (looks_like_path(id) || exists(id));
  if (is_file) SYMBIONT_TRY_STATUS(add_file(slm, options, configured));
  const Model* model = find_model(slm, id);
  if (model != nullptr) SYMBIONT_TRY_STATUS(apply_sets(slm, *model, options));
  if (options.degraded) slm.enforcement = Enforcement::Degraded;
  if (options.agent.empty()) admit_operator(slm);

  SYMBIONT_TRY(ModelCatalog catalog, make_catalog(slm, configured));
  EngineOptions engine_options;
  engine_options.on_load_progress = std::move(on_load_progress);
  EngineRequest request = make_request(options, id, is_file);
  request.options = std::move(execution);
  return Session{Engine(std::move(catalog), std::move(engine_options)), std::move(request)};
}

}  // namespace symbiont::cli
