#ifndef SYMBIONT_WORKER_LLAMA_METADATA_H_
#define SYMBIONT_WORKER_LLAMA_METADATA_H_

#include <string>

struct llama_model;

namespace symbiont::worker {

/// The model's own value for "ARCHITECTURE.`key`"; empty: it has none.
[[nodiscard]] std::string model_metadata(const llama_model* model, const std::string& key);

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_LLAMA_METADATA_H_
