#include "catalog/catalog_check.h"

#include <cmath>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/strings.h"

namespace symbiont::catalog {
namespace {

using Checked = std::expected<void, ModelCatalogError>;

std::unexpected<ModelCatalogError> invalid(std::string key, std::string reason) {
  return std::unexpected<ModelCatalogError>(
      ModelCatalogError::InvalidConfig{std::move(key), std::move(reason)});
}

bool exists(const Slm& slm, const std::string& profile) {
  return profile == "secure" || slm.sandbox_profiles.contains(profile);
}

std::unexpected<ModelCatalogError> no_profile(const Slm& slm,
                                              const std::string& name,
                                              std::string referrer) {
  std::vector<std::string_view> names = {"secure"};
  for (const auto& [each, profile] : slm.sandbox_profiles)
    names.push_back(each);
  return std::unexpected<ModelCatalogError>(ModelCatalogError::SandboxProfileNotFound{
      name, std::move(referrer), std::string(closest_match(name, names))});
}

Checked check_models(const Slm& slm) {
  std::unordered_set<std::string_view> ids;
  ids.reserve(slm.model_allow_lists.global_models.size());
  for (const Model& model : slm.model_allow_lists.global_models) {
    if (model.id.empty()) return invalid("slm.model_allow_lists.global_models.id", "is empty");
    if (!ids.insert(model.id).second) {
      return invalid("slm.model_allow_lists.global_models.id",
                     "two models are called " + symbiont::quoted(model.id));
    }
    if (!model.sandbox_profile.empty() && !exists(slm, model.sandbox_profile)) {
      return no_profile(slm, model.sandbox_profile, "model " + symbiont::quoted(model.id));
    }
  }
  return {};
}

Checked check_profile(const std::string& name, const SandboxProfile& profile) {
  const std::string key = "slm.sandbox_profiles." + name + ".";
  if (profile.resources.max_memory_mb == 0)
    return invalid(key + "resources.max_memory_mb", "must be above 0");
  if (!(profile.resources.max_cpu_cores > 0) || !std::isfinite(profile.resources.max_cpu_cores)) {
    return invalid(key + "resources.max_cpu_cores", "must be a number above 0");
  }
  if (profile.filesystem.allow_temp_files && profile.resources.max_disk_mb == 0) {
    return invalid(key + "resources.max_disk_mb", "must be above 0 when allow_temp_files is true");
  }
  if (profile.process_limits.max_execution_time_seconds == 0) {
    return invalid(key + "process_limits.max_execution_time_seconds", "must be above 0");
  }
  if (profile.process_limits.process_priority < -20 ||
      profile.process_limits.process_priority > 19) {
    return invalid(key + "process_limits.process_priority", "must be from -20 to 19");
  }
  return {};
}

}  // namespace

Checked check(const Slm& slm) {
  if (!slm.enabled) return invalid("slm.enabled", "is false: set it to true to use models");
  if (!exists(slm, slm.default_sandbox_profile)) {
    return no_profile(slm, slm.default_sandbox_profile, "default_sandbox_profile");
  }
  for (const auto& [name, profile] : slm.sandbox_profiles) {
    if (auto checked = check_profile(name, profile); !checked.has_value()) return checked;
  }
  return check_models(slm);
}

}  // namespace symbiont::catalog
