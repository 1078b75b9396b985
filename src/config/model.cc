#include "symbiont/model.h"

#include <algorithm>
#include <array>

#include "symbiont/capability.h"

namespace symbiont {

std::string_view to_string(ModelCapability capability) {
  static constexpr std::array<std::string_view, kAllModelCapabilities.size()> kNames = {
      "TextGeneration", "CodeGeneration", "Reasoning", "ToolUse", "FunctionCalling", "Embeddings"};
  return kNames[static_cast<std::size_t>(capability)];
}

std::optional<ModelCapability> capability_from_string(std::string_view name) {
  const auto* const at = std::ranges::find_if(
      kAllModelCapabilities, [&](ModelCapability each) { return to_string(each) == name; });
  if (at == kAllModelCapabilities.end()) return std::nullopt;
  return *at;
}

std::vector<ModelCapability> CapabilitySet::to_vector() const {
  std::vector<ModelCapability> members;
  std::ranges::copy_if(kAllModelCapabilities, std::back_inserter(members),
                       [this](ModelCapability each) { return contains(each); });
  return members;
}

std::string_view provider_name(const ModelProvider& provider) {
  static constexpr std::array<std::string_view, std::variant_size_v<ModelProvider>> kNames = {
      "LocalFile", "HuggingFace", "OpenAI", "Anthropic", "Custom", "Process"};
  return kNames[provider.index()];
}

std::string_view to_string(Isolation isolation) {
  switch (isolation) {
    case Isolation::Shared:
      return "shared";
    case Isolation::Agent:
      return "agent";
    case Isolation::Request:
      return "request";
  }
  return "agent";
}

}  // namespace symbiont
