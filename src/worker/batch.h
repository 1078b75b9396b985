#ifndef SYMBIONT_WORKER_BATCH_H_
#define SYMBIONT_WORKER_BATCH_H_

// What one step decodes: the next token of those that are answering, and pieces of prompts.

#include <cstddef>
#include <span>
#include <vector>

#include "worker/execution.h"
#include "worker/llama_engine.h"
#include "worker/places.h"

namespace symbiont::worker {

class Batch {
 public:
  explicit Batch(Places& places);

  /// Chooses what the next step makes; where texts and embeddings are under way they take turns.
  void choose_outputs(const Executions& active);
  /// Chooses its tokens. May be called again before they are kept or dropped.
  void fill(Executions& active);
  /// They are in the context.
  void keep();
  /// They are not, or not all.
  void drop();

  [[nodiscard]] Outputs outputs() const { return outputs_; }
  [[nodiscard]] std::span<const BatchToken> tokens() const { return tokens_; }
  /// Whose each of them is.
  [[nodiscard]] std::span<Execution* const> owners() const { return owners_; }

 private:
  void fill_with_embeddings(Executions& active);
  void add(Execution& execution, std::size_t count);

  Places& places_;
  Outputs outputs_ = Outputs::Logits;
  std::vector<BatchToken> tokens_;
  std::vector<Execution*> owners_;  // parallel to tokens_
  std::size_t embedding_steps_ = 0;
  std::size_t read_ = 0;             // tokens of prompts since those that answer had their turn
  std::size_t read_afterwards_ = 0;  // the same once this batch is kept
};

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_BATCH_H_
