#include "worker/llama_metadata.h"

#include <dlfcn.h>
#include <gguf.h>
#include <llama.h>

#include <array>

#include "base/result.h"

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

// In the place of libllama's, which writes out whole vocabularies for a log that shows forty
// characters of them: a tenth of the time of a load. Of arrays only that log asks.
std::string gguf_kv_to_str(const gguf_context* context, int index);
__attribute__((visibility("default"))) std::string gguf_kv_to_str(const gguf_context* context,
                                                                  int index) {
  if (gguf_get_kv_type(context, index) == GGUF_TYPE_ARRAY) return "[...]";
  using ToText = decltype(&gguf_kv_to_str);
  static const auto kLibllamaText =
      reinterpret_cast<ToText>(::dlsym(RTLD_NEXT, "_Z14gguf_kv_to_strB5cxx11PK12gguf_contexti"));
  SYMBIONT_CHECK(kLibllamaText != nullptr, "called by a libllama that has it");
  return kLibllamaText(context, index);
}
