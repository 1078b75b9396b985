#ifndef SYMBIONT_WORKER_LLAMA_CELLS_H_
#define SYMBIONT_WORKER_LLAMA_CELLS_H_

// How many cells a context gets, and what they take.

#include <cstdint>

#include "ipc/messages.h"

struct llama_model;

namespace symbiont::worker {

/// Cells for all sequences: `context` for each where memory allows, never less than for one. They
/// take memory only once a token is in them.
[[nodiscard]] std::uint32_t choose_cells(const llama_model* model,
                                         const ipc::LoadRequest& load,
                                         std::uint32_t context);

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_LLAMA_CELLS_H_
