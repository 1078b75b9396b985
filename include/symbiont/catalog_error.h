#ifndef SYMBIONT_CATALOG_ERROR_H_
#define SYMBIONT_CATALOG_ERROR_H_

#include <string>
#include <utility>
#include <variant>

namespace symbiont {

/// Why the catalogue refused: one alternative of Details, each with the names involved.
class [[nodiscard]] ModelCatalogError {
 public:
  struct ModelNotFound {
    std::string model_id;
    std::string suggestion;  ///< id of a model that was probably meant; empty = none
    bool operator==(const ModelNotFound&) const = default;
  };
  struct InvalidConfig {
    std::string
        key;  ///< what is wrong: "slm.enabled", "slm.sandbox_profiles.fast.resources.max_cpu_cores"
    std::string reason;
    bool operator==(const InvalidConfig&) const = default;
  };
  struct SandboxProfileNotFound {
    std::string profile;
    std::string
        referrer;  ///< who names it: "default_sandbox_profile", "model 'llama2-7b'"; may be empty
    std::string suggestion;  ///< empty = none
    bool operator==(const SandboxProfileNotFound&) const = default;
  };
  struct NoModelsForAgent {
    std::string agent;
    bool operator==(const NoModelsForAgent&) const = default;
  };
  struct AccessDenied {
    std::string agent;
    std::string model_id;
    std::string reason;
    bool operator==(const AccessDenied&) const = default;
  };
  using Details = std::
      variant<ModelNotFound, InvalidConfig, SandboxProfileNotFound, NoModelsForAgent, AccessDenied>;

  // Implicit: each alternative is an error in its own right.
  // NOLINTNEXTLINE(google-explicit-constructor)
  ModelCatalogError(Details details) : details_(std::move(details)) {}

  [[nodiscard]] const Details& details() const { return details_; }
  /// The details when they are of this alternative, else nullptr:
  /// `error.get_if<ModelCatalogError::AccessDenied>()`.
  template <typename T>
  [[nodiscard]] const T* get_if() const {
    return std::get_if<T>(&details_);
  }
  /// One line for people, naming the object; unprintable bytes of names are escaped.
  [[nodiscard]] std::string message() const;

  bool operator==(const ModelCatalogError&) const = default;

 private:
  Details details_;
};

}  // namespace symbiont

#endif  // SYMBIONT_CATALOG_ERROR_H_
