#ifndef SYMBIONT_CAPABILITY_H_
#define SYMBIONT_CAPABILITY_H_

// What a model can do, spelled as in the configuration file.

#include <array>
#include <bit>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <vector>

namespace symbiont {

enum class ModelCapability : std::uint8_t {
  TextGeneration,
  CodeGeneration,
  Reasoning,
  ToolUse,
  FunctionCalling,
  Embeddings,
};

inline constexpr std::array kAllModelCapabilities = {
    ModelCapability::TextGeneration, ModelCapability::CodeGeneration,  ModelCapability::Reasoning,
    ModelCapability::ToolUse,        ModelCapability::FunctionCalling, ModelCapability::Embeddings,
};

[[nodiscard]] std::string_view to_string(ModelCapability capability);

/// The capability of exactly this name, or nothing.
[[nodiscard]] std::optional<ModelCapability> capability_from_string(std::string_view name);

/// A set of capabilities: one byte, compared by value.
class CapabilitySet {
 public:
  constexpr CapabilitySet() = default;
  constexpr CapabilitySet(std::initializer_list<ModelCapability> capabilities) {
    for (const ModelCapability capability : capabilities)
      insert(capability);
  }

  constexpr void insert(ModelCapability capability) {
    mask_ = static_cast<std::uint8_t>(mask_ | bit(capability));
  }
  [[nodiscard]] constexpr bool contains(ModelCapability capability) const {
    return (mask_ & bit(capability)) != 0;
  }
  [[nodiscard]] constexpr bool contains_all(CapabilitySet other) const {
    return (mask_ & other.mask_) == other.mask_;
  }
  [[nodiscard]] constexpr bool empty() const { return mask_ == 0; }
  [[nodiscard]] constexpr std::size_t size() const {
    return static_cast<std::size_t>(std::popcount(mask_));
  }
  /// One bit per capability, in the order of the enumeration; below 2^kAllModelCapabilities.size().
  [[nodiscard]] constexpr std::uint8_t mask() const { return mask_; }
  /// The members in the order of the enumeration.
  [[nodiscard]] std::vector<ModelCapability> to_vector() const;

  constexpr bool operator==(const CapabilitySet&) const = default;

 private:
  static constexpr unsigned bit(ModelCapability capability) {
    return 1U << static_cast<unsigned>(capability);
  }
  std::uint8_t mask_ = 0;
};

}  // namespace symbiont

#endif  // SYMBIONT_CAPABILITY_H_
