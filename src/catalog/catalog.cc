#include "symbiont/catalog.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>

#include "base/strings.h"
#include "catalog/catalog_check.h"

namespace symbiont {
namespace {

using Index = std::uint32_t;

struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};
template <typename Value>
using ByName = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;

/// A misspelt id is compared with no more models than this: anybody may send one, and a comparison
/// costs about a microsecond.
constexpr std::size_t kMaxSuggestionCandidates = 1'000;

constexpr std::size_t kMasks = std::size_t{1} << kAllModelCapabilities.size();

/// No model.
constexpr Index kNone = UINT32_MAX;

/// Gives each set of capabilities the least rank found at it or at any larger set.
void spread_to_subsets(std::array<Index, kMasks>& best) {
  for (std::size_t bit = 1; bit < kMasks; bit <<= 1U) {
    for (std::size_t mask = 0; mask < kMasks; ++mask) {
      if ((mask & bit) == 0) best[mask] = std::min(best[mask], best[mask | bit]);
    }
  }
}

std::unexpected<ModelCatalogError> refuse(ModelCatalogError::Details details) {
  return std::unexpected<ModelCatalogError>(std::move(details));
}

}  // namespace

struct ModelCatalog::Impl {
  /// What one agent may use.
  struct AgentModels {
    std::vector<Index> in_order;  ///< as configured
    /// For each set of capabilities the rank of the best model that has all of it; kNone without.
    std::array<Index, kMasks> best_of_mask{};
  };

  std::vector<Model> models;
  ByName<Index> by_id;
  std::vector<Index> ranked;         ///< models by (memory, id)
  std::array<Index, kMasks> best{};  ///< as AgentModels::best_of_mask, of all models
  ByName<AgentModels> agents;
  bool agents_are_mapped = false;
  UnmappedAgents unmapped = UnmappedAgents::Deny;
  std::map<std::string, SandboxProfile, std::less<>> profiles;
  std::string default_profile;
  bool allow_overrides = false;
  Enforcement enforcement = Enforcement::Strict;

  void index_models();
  void index_agents(const Slm& slm);
  [[nodiscard]] const AgentModels* restricted(std::string_view agent, bool& everything) const;
};

void ModelCatalog::Impl::index_models() {
  by_id.reserve(models.size());
  for (Index i = 0; i < models.size(); ++i)
    by_id.emplace(models[i].id, i);
  ranked.resize(models.size());
  std::iota(ranked.begin(), ranked.end(), Index{0});
  std::ranges::sort(ranked, [this](Index a, Index b) {
    const auto& left = models[a];
    const auto& right = models[b];
    const auto need =
        left.resource_requirements.min_memory_mb <=> right.resource_requirements.min_memory_mb;
    return need != 0 ? need < 0 : left.id < right.id;
  });
  best.fill(kNone);
  for (Index rank = 0; rank < ranked.size(); ++rank) {
    Index& of_its_kind = best[models[ranked[rank]].capabilities.mask()];
    of_its_kind = std::min(of_its_kind, rank);
  }
  spread_to_subsets(best);
}

void ModelCatalog::Impl::index_agents(const Slm& slm) {
  const auto& maps = slm.model_allow_lists.agent_model_maps;
  agents_are_mapped = maps.has_value();
  if (!maps) return;
  std::vector<Index> rank_of(models.size());
  for (Index rank = 0; rank < ranked.size(); ++rank)
    rank_of[ranked[rank]] = rank;
  for (const auto& [agent, ids] : *maps) {
    AgentModels mine;
    for (const auto& id : ids) {
      if (const auto at = by_id.find(id); at != by_id.end()) mine.in_order.push_back(at->second);
    }
    std::ranges::sort(mine.in_order);
    const auto repeated = std::ranges::unique(mine.in_order);
    mine.in_order.erase(repeated.begin(), repeated.end());
    mine.best_of_mask.fill(kNone);
    for (const Index index : mine.in_order) {
      Index& of_its_kind = mine.best_of_mask[models[index].capabilities.mask()];
      of_its_kind = std::min(of_its_kind, rank_of[index]);
    }
    spread_to_subsets(mine.best_of_mask);
    agents.emplace(agent, std::move(mine));
  }
}

/// The agent's own list, or nullptr with `everything` telling whether it may use all or nothing.
const ModelCatalog::Impl::AgentModels* ModelCatalog::Impl::restricted(std::string_view agent,
                                                                      bool& everything) const {
  const auto at = agents.find(agent);
  everything = at == agents.end() && (!agents_are_mapped || unmapped == UnmappedAgents::All);
  return at == agents.end() ? nullptr : &at->second;
}

ModelCatalog::ModelCatalog(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

std::expected<ModelCatalog, ModelCatalogError> ModelCatalog::create(const Slm& slm) {
  if (auto checked = catalog::check(slm); !checked.has_value())
    return std::unexpected(std::move(checked).error());
  auto impl = std::make_shared<Impl>();
  impl->models = slm.model_allow_lists.global_models;
  impl->profiles = slm.sandbox_profiles;
  impl->profiles.try_emplace("secure");
  for (auto& [name, profile] : impl->profiles)
    profile.name = name;
  impl->default_profile = slm.default_sandbox_profile;
  impl->unmapped = slm.unmapped_agents;
  impl->allow_overrides = slm.allow_runtime_overrides;
  impl->enforcement = slm.enforcement;
  impl->index_models();
  impl->index_agents(slm);
  return ModelCatalog(std::move(impl));
}

const Model* ModelCatalog::get_model(std::string_view model_id) const {
  const auto at = impl_->by_id.find(model_id);
  return at == impl_->by_id.end() ? nullptr : &impl_->models[at->second];
}

std::vector<const Model*> ModelCatalog::list_models() const {
  std::vector<const Model*> all;
  all.reserve(impl_->models.size());
  for (const Model& model : impl_->models)
    all.push_back(&model);
  return all;
}

std::vector<const Model*> ModelCatalog::get_models_for_agent(std::string_view agent) const {
  bool everything = false;
  const auto* mine = impl_->restricted(agent, everything);
  if (everything) return list_models();
  std::vector<const Model*> models;
  if (mine == nullptr) return models;
  for (const Index index : mine->in_order)
    models.push_back(&impl_->models[index]);
  return models;
}

std::vector<const Model*> ModelCatalog::get_models_with_capability(
    ModelCapability capability) const {
  std::vector<const Model*> models;
  for (const Model& model : impl_->models) {
    if (model.capabilities.contains(capability)) models.push_back(&model);
  }
  return models;
}

const Model* ModelCatalog::find_best_model_for_requirements(
    CapabilitySet capabilities,
    std::optional<std::uint64_t> max_memory_mb,
    std::optional<std::string_view> agent) const {
  const std::uint64_t memory = max_memory_mb.value_or(UINT64_MAX);
  bool everything = true;
  const auto* mine = agent ? impl_->restricted(*agent, everything) : nullptr;
  if (mine == nullptr && !everything) return nullptr;
  const Index rank = (everything ? impl_->best : mine->best_of_mask)[capabilities.mask()];
  if (rank == kNone) return nullptr;
  const Model& model = impl_->models[impl_->ranked[rank]];
  // The best needs least: when it does not fit, none does.
  return model.resource_requirements.min_memory_mb <= memory ? &model : nullptr;
}

std::expected<void, ModelCatalogError> ModelCatalog::validate_model_access(
    std::string_view model_id, std::string_view agent) const {
  bool everything = false;
  const auto* mine = impl_->restricted(agent, everything);
  if (mine == nullptr && !everything)
    return refuse(ModelCatalogError::NoModelsForAgent{std::string(agent)});
  const auto at = impl_->by_id.find(model_id);
  if (at == impl_->by_id.end()) {
    std::vector<std::string_view> ids;
    const std::size_t candidates = everything ? impl_->models.size() : mine->in_order.size();
    if (candidates <= kMaxSuggestionCandidates) {
      for (const Model* model : get_models_for_agent(agent))
        ids.emplace_back(model->id);
    }
    return refuse(ModelCatalogError::ModelNotFound{std::string(model_id),
                                                   std::string(closest_match(model_id, ids))});
  }
  if (everything || std::ranges::binary_search(mine->in_order, at->second)) return {};
  return refuse(ModelCatalogError::AccessDenied{std::string(agent), std::string(model_id),
                                                "its entry in agent_model_maps does not name it"});
}

const SandboxProfile* ModelCatalog::get_sandbox_profile(std::string_view model_id) const {
  const Model* model = get_model(model_id);
  if (model == nullptr) return nullptr;
  return model->sandbox_profile.empty() ? get_default_sandbox_profile()
                                        : find_sandbox_profile(model->sandbox_profile);
}

const SandboxProfile* ModelCatalog::find_sandbox_profile(std::string_view profile_name) const {
  const auto at = impl_->profiles.find(profile_name);
  return at == impl_->profiles.end() ? nullptr : &at->second;
}

const SandboxProfile* ModelCatalog::get_default_sandbox_profile() const {
  return find_sandbox_profile(impl_->default_profile);
}

const ModelResourceRequirements* ModelCatalog::get_resource_requirements(
    std::string_view model_id) const {
  const Model* model = get_model(model_id);
  return model == nullptr ? nullptr : &model->resource_requirements;
}

CatalogStatistics ModelCatalog::get_statistics() const {
  CatalogStatistics statistics;
  statistics.total_models = impl_->models.size();
  statistics.total_agents = impl_->agents.size();
  statistics.total_sandbox_profiles = impl_->profiles.size();
  for (const Model& model : impl_->models) {
    const bool local = std::holds_alternative<provider::LocalFile>(model.provider) ||
                       std::holds_alternative<provider::Process>(model.provider);
    if (local) ++statistics.local_models;
    for (const ModelCapability capability : model.capabilities.to_vector()) {
      ++statistics.models_by_capability[static_cast<std::size_t>(capability)];
    }
  }
  return statistics;
}

bool ModelCatalog::allows_runtime_overrides() const {
  return impl_->allow_overrides;
}

Enforcement ModelCatalog::enforcement() const {
  return impl_->enforcement;
}

}  // namespace symbiont
