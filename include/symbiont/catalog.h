#ifndef SYMBIONT_CATALOG_H_
#define SYMBIONT_CATALOG_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "symbiont/catalog_error.h"
#include "symbiont/model.h"
#include "symbiont/sandbox_profile.h"
#include "symbiont/slm.h"

namespace symbiont {

struct CatalogStatistics {
  std::size_t total_models = 0;
  std::size_t total_agents = 0;            ///< agents with an entry in agent_model_maps
  std::size_t total_sandbox_profiles = 0;  ///< with the built-in one
  std::size_t local_models = 0;            ///< LocalFile and Process
  std::array<std::size_t, kAllModelCapabilities.size()>
      models_by_capability{};  ///< in the order of ModelCapability
  bool operator==(const CatalogStatistics&) const = default;
};

/// Which models exist and who may use them: an immutable snapshot of a configuration. Copies share
/// it, so copying is cheap; every pointer it hands out lives as long as any copy. All methods are
/// safe from many threads at once.
class ModelCatalog {
 public:
  /// Checks the value as a whole (it may have been built in code): unique ids, existing profiles,
  /// numbers in range. A configuration with `enabled = false` is InvalidConfig.
  [[nodiscard]] static std::expected<ModelCatalog, ModelCatalogError> create(const Slm& slm);

  /// nullptr when there is none. Says nothing about access: see validate_model_access().
  [[nodiscard]] const Model* get_model(std::string_view model_id) const;
  /// All models, in the order of the configuration.
  [[nodiscard]] std::vector<const Model*> list_models() const;
  /// The models that this agent may use, in the order of the configuration; empty when none.
  [[nodiscard]] std::vector<const Model*> get_models_for_agent(std::string_view agent) const;
  [[nodiscard]] std::vector<const Model*> get_models_with_capability(
      ModelCapability capability) const;

  /// The model with all of `capabilities` that needs least memory, at most `max_memory_mb`, and
  /// that `agent` may use; of equals the first by id. nullptr when none fits. Constant time.
  [[nodiscard]] const Model* find_best_model_for_requirements(
      CapabilitySet capabilities,
      std::optional<std::uint64_t> max_memory_mb = std::nullopt,
      std::optional<std::string_view> agent = std::nullopt) const;

  /// ModelNotFound, NoModelsForAgent or AccessDenied. Suggestions name only models the agent may
  /// use.
  [[nodiscard]] std::expected<void, ModelCatalogError> validate_model_access(
      std::string_view model_id, std::string_view agent) const;

  /// The profile that a model runs under; nullptr when there is no such model.
  [[nodiscard]] const SandboxProfile* get_sandbox_profile(std::string_view model_id) const;
  /// A profile by its own name; nullptr when there is none.
  [[nodiscard]] const SandboxProfile* find_sandbox_profile(std::string_view profile_name) const;
  /// Never nullptr.
  [[nodiscard]] const SandboxProfile* get_default_sandbox_profile() const;
  /// nullptr when there is no such model.
  [[nodiscard]] const ModelResourceRequirements* get_resource_requirements(
      std::string_view model_id) const;
  [[nodiscard]] CatalogStatistics get_statistics() const;

  /// May a request loosen the profile of its model?
  [[nodiscard]] bool allows_runtime_overrides() const;
  [[nodiscard]] Enforcement enforcement() const;

 private:
  struct Impl;
  explicit ModelCatalog(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

}  // namespace symbiont

#endif  // SYMBIONT_CATALOG_H_
