#include "symbiont/catalog_error.h"

#include "base/strings.h"

namespace symbiont {
namespace {

std::string hint(const std::string& suggestion) {
  return suggestion.empty() ? std::string() : "; did you mean " + quoted(suggestion) + "?";
}

struct Describe {
  std::string operator()(const ModelCatalogError::ModelNotFound& error) const {
    return "model " + quoted(error.model_id) + " is not in the catalogue" + hint(error.suggestion);
  }
  std::string operator()(const ModelCatalogError::InvalidConfig& error) const {
    return "invalid configuration: " + error.key + ": " + error.reason;
  }
  std::string operator()(const ModelCatalogError::SandboxProfileNotFound& error) const {
    const std::string who = error.referrer.empty() ? "" : error.referrer + ": ";
    return who + "sandbox profile " + quoted(error.profile) + " does not exist" +
           hint(error.suggestion);
  }
  std::string operator()(const ModelCatalogError::NoModelsForAgent& error) const {
    return "agent " + quoted(error.agent) +
           " may use no model: it has no entry in slm.model_allow_lists.agent_model_maps";
  }
  std::string operator()(const ModelCatalogError::AccessDenied& error) const {
    return "agent " + quoted(error.agent) + " may not use model " + quoted(error.model_id) + ": " +
           error.reason;
  }
};

}  // namespace

std::string ModelCatalogError::message() const {
  return std::visit(Describe{}, details_);
}

}  // namespace symbiont
