#ifndef SYMBIONT_WORKER_LLAMA_EMBEDDING_H_
#define SYMBIONT_WORKER_LLAMA_EMBEDDING_H_

// What a model says about embeddings of whole texts, and what making them takes.

#include <cstdint>
#include <optional>

#include "worker/pooling.h"

struct llama_model;

namespace symbiont::worker {

/// How the model wants the vectors of a text's tokens put together; Mean where it does not say.
/// Without a value: its embeddings cannot be made here. A text is read in pieces, which needs
/// attention that looks back only; a model that ranks has no embedding of a text.
[[nodiscard]] std::optional<Pooling> pooling_of(const llama_model* model);

/// Of the rows that a decode for embeddings leaves, which llama.cpp keeps from then on: logits and
/// a vector for each of kMaxEmbeddingBatchTokens.
[[nodiscard]] std::uint64_t embedding_bytes(const llama_model* model);

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_LLAMA_EMBEDDING_H_
