#include "worker/llama_embedding.h"

#include <llama.h>

#include <algorithm>
#include <array>
#include <string>

#include "worker/llama_engine.h"

namespace symbiont::worker {
namespace {

/// The model's own value for "ARCHITECTURE.`key`"; empty: it has none.
std::string metadata(const llama_model* model, const std::string& key) {
  std::array<char, 128> text{};
  if (llama_model_meta_val_str(model, "general.architecture", text.data(), text.size()) < 0)
    return {};
  const std::string name = std::string(text.data()) + "." + key;
  if (llama_model_meta_val_str(model, name.c_str(), text.data(), text.size()) < 0) return {};
  return text.data();
}

}  // namespace

std::optional<Pooling> pooling_of(const llama_model* model) {
  if (metadata(model, "attention.causal") == "false") return std::nullopt;
  const std::string pooling = metadata(model, "pooling_type");
  if (pooling == std::to_string(LLAMA_POOLING_TYPE_CLS)) return Pooling::First;
  if (pooling == std::to_string(LLAMA_POOLING_TYPE_LAST)) return Pooling::Last;
  if (pooling == std::to_string(LLAMA_POOLING_TYPE_RANK)) return std::nullopt;
  return Pooling::Mean;
}

std::uint64_t embedding_bytes(const llama_model* model) {
  const std::int64_t row = std::int64_t{llama_vocab_n_tokens(llama_model_get_vocab(model))} +
                           llama_model_n_embd_out(model);
  return kMaxEmbeddingBatchTokens * sizeof(float) *
         static_cast<std::uint64_t>(std::max<std::int64_t>(row, 0));
}

}  // namespace symbiont::worker
