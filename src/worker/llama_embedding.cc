#include "worker/llama_embedding.h"

#include <llama.h>

#include <algorithm>
#include <string>

#include "worker/llama_engine.h"
#include "worker/llama_metadata.h"

namespace symbiont::worker {
std::optional<Pooling> pooling_of(const llama_model* model) {
  if (model_metadata(model, "attention.causal") == "false") return std::nullopt;
  const std::string pooling = model_metadata(model, "pooling_type");
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
