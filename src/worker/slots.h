#ifndef SYMBIONT_WORKER_SLOTS_H_
#define SYMBIONT_WORKER_SLOTS_H_

// Which sequence of the context holds which tokens, and for whom. A sequence that is done keeps its
// tokens for the next prompt of the same key that begins alike; keys never see each other's. Pure
// bookkeeping: the caller tells the engine.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "worker/llama_engine.h"

namespace symbiont::worker {

class Slots {
 public:
  explicit Slots(std::size_t sequences) : slots_(sequences) {}

  struct Choice {
    std::uint32_t sequence = 0;
    std::size_t kept = 0;                        ///< tokens of the prompt that are there already
    std::optional<std::uint32_t> shared_from{};  ///< they are in this sequence, not yet in ours
  };
  /// A sequence for `prompt` (not empty), from now on busy. At least one token of it is never kept:
  /// sampling needs its logits. Without a value when all are busy. Afterwards the caller makes the
  /// engine forget all but `kept` (all, when shared) and sets held().
  [[nodiscard]] std::optional<Choice> take(std::uint64_t key, std::span<const TokenId> prompt);
  /// The execution is over; what it holds may serve another one of its key.
  void release(std::uint32_t sequence);

  [[nodiscard]] std::vector<TokenId>& held(std::uint32_t sequence) {
    return slots_[sequence].tokens;
  }
  [[nodiscard]] const std::vector<TokenId>& held(std::uint32_t sequence) const {
    return slots_[sequence].tokens;
  }
  /// Tokens in all sequences. Shared ones count in each, so this is never too low.
  [[nodiscard]] std::size_t used() const;
  [[nodiscard]] bool has_idle() const;
  /// The idle sequence that holds tokens and was used longest ago.
  [[nodiscard]] std::optional<std::uint32_t> oldest_cached() const;

 private:
  struct Slot {
    std::uint64_t key = 0;
    std::vector<TokenId> tokens;
    bool busy = false;
    std::uint64_t last_use = 0;
  };
  [[nodiscard]] std::optional<std::uint32_t> longest_match(std::uint64_t key,
                                                           std::span<const TokenId> prompt,
                                                           std::size_t& length) const;
  [[nodiscard]] std::optional<std::uint32_t> free_slot() const;

  std::vector<Slot> slots_;
  std::uint64_t uses_ = 0;
};

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_SLOTS_H_
