#ifndef SYMBIONT_WORKER_PLACES_H_
#define SYMBIONT_WORKER_PLACES_H_

// Executions in the context: who holds which tokens where, in the bookkeeping and in the engine.

#include <cstddef>
#include <cstdint>

#include "worker/execution.h"
#include "worker/llama_engine.h"
#include "worker/slots.h"

namespace symbiont::worker {

class Places {
 public:
  explicit Places(LlamaEngine& engine) : engine_(engine), slots_(engine.describe().max_sequences) {}

  [[nodiscard]] bool has_idle() const { return slots_.has_idle(); }
  /// Frees cells that only caches use until `tokens` more fit. False: they do not.
  [[nodiscard]] bool make_room(std::size_t tokens);
  /// As above; room for a new execution and the beginning of its answer.
  [[nodiscard]] bool make_room_for(const Execution& execution);
  /// Only while has_idle().
  void place(Execution& execution);
  /// It gives its cells up.
  void displace(Execution& execution);
  /// It is over; what it holds may serve another one.
  void release(const Execution& execution) { slots_.release(execution.sequence()); }

  [[nodiscard]] std::size_t held(const Execution& execution) const {
    return slots_.held(execution.sequence()).size();
  }
  /// Tokens that are not read yet. One: it is answering.
  [[nodiscard]] std::size_t missing(const Execution& execution) const {
    return execution.tokens().size() - held(execution);
  }
  void hold(std::uint32_t sequence, TokenId token) { slots_.held(sequence).push_back(token); }
  /// Makes the engine hold what the bookkeeping says; a model that cannot go back holds nothing.
  void forget_beyond_held(std::uint32_t sequence);
  void forget_all(std::uint32_t sequence);

  /// Whether `execution` is better off waiting, because one of `active` before it reads the same
  /// beginning of a prompt, for the same key. What is read already it gets at once.
  [[nodiscard]] bool share_beginning(Execution& execution, const Executions& active);

 private:
  LlamaEngine& engine_;
  Slots slots_;
};

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_PLACES_H_
