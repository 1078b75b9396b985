#include "worker/llama_metadata.h"

#include <llama.h>

#include <array>

namespace symbiont::worker {

std::string model_metadata(const llama_model* model, const std::string& key) {
  std::array<char, 128> text{};
  if (llama_model_meta_val_str(model, "general.architecture", text.data(), text.size()) < 0)
    return {};
  const std::string name = std::string(text.data()) + "." + key;
  if (llama_model_meta_val_str(model, name.c_str(), text.data(), text.size()) < 0) return {};
  return text.data();
}

}  // namespace symbiont::worker
