#ifndef SYMBIONT_ACCESS_GRANT_H_
#define SYMBIONT_ACCESS_GRANT_H_

// The one place that decides who may run what. Nothing runs without a Grant, and only check() makes
// one.

#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "symbiont/catalog.h"
#include "symbiont/catalog_error.h"
#include "symbiont/model.h"
#include "symbiont/sandbox_profile.h"

namespace symbiont::access {

class Grant;

/// Whether `agent` may run `model_id`, under `profile_override` when one is asked for (by name). An
/// override that loosens the model's own profile anywhere is AccessDenied unless the catalogue
/// allows runtime overrides.
[[nodiscard]] std::expected<Grant, ModelCatalogError> check(
    const ModelCatalog& catalog,
    std::string_view agent,
    std::string_view model_id,
    std::optional<std::string_view> profile_override = {});

/// Proof that the check passed, with what it was about. A value: it outlives the catalogue.
class Grant {
 public:
  [[nodiscard]] const std::string& agent() const { return agent_; }
  [[nodiscard]] const Model& model() const { return model_; }
  [[nodiscard]] const SandboxProfile& profile() const { return profile_; }

 private:
  friend std::expected<Grant, ModelCatalogError> check(const ModelCatalog&,
                                                       std::string_view,
                                                       std::string_view,
                                                       std::optional<std::string_view>);
  Grant(std::string agent, Model model, SandboxProfile profile)
      : agent_(std::move(agent)), model_(std::move(model)), profile_(std::move(profile)) {}

  std::string agent_;
  Model model_;
  SandboxProfile profile_;
};

/// The first field in which `wanted` allows more than `base`, as in the configuration
/// ("resources.max_memory_mb"); empty when it nowhere does. Pure.
[[nodiscard]] std::string first_loosened_field(const SandboxProfile& base,
                                               const SandboxProfile& wanted);

}  // namespace symbiont::access

#endif  // SYMBIONT_ACCESS_GRANT_H_
