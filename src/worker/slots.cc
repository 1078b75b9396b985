#include "worker/slots.h"

#include <algorithm>
#include <numeric>

namespace symbiont::worker {

std::optional<std::uint32_t> Slots::longest_match(std::uint64_t key,
                                                  std::span<const TokenId> prompt,
                                                  std::size_t& length) const {
  std::optional<std::uint32_t> best;
  length = 0;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    if (slot.key != key) continue;
    const auto most = prompt.first(std::min(prompt.size() - 1, slot.tokens.size()));
    const auto differs = std::ranges::mismatch(most, slot.tokens).in1;
    const auto match = static_cast<std::size_t>(differs - most.begin());
    // Of equally good ones an idle one: its tokens can be used where they are.
    if (match > length || (match == length && match > 0 && slots_[*best].busy && !slot.busy)) {
      best = static_cast<std::uint32_t>(i);
      length = match;
    }
  }
  return best;
}

/// An empty one, else the one used longest ago.
std::optional<std::uint32_t> Slots::free_slot() const {
  std::optional<std::uint32_t> found;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    if (slot.busy) continue;
    if (slot.tokens.empty()) return static_cast<std::uint32_t>(i);
    if (!found || slot.last_use < slots_[*found].last_use) found = static_cast<std::uint32_t>(i);
  }
  return found;
}

std::optional<Slots::Choice> Slots::take(std::uint64_t key, std::span<const TokenId> prompt) {
  Choice choice;
  const auto source = longest_match(key, prompt, choice.kept);
  // In place when most of what it holds is of use: the same conversation, one turn later. Another
  // conversation with the same beginning gets a sequence of its own.
  const bool in_place =
      source && !slots_[*source].busy && choice.kept * 2 >= slots_[*source].tokens.size();
  const auto target = in_place ? source : free_slot();
  if (!target) return std::nullopt;
  choice.sequence = *target;
  if (source && *source != *target) choice.shared_from = source;
  Slot& slot = slots_[*target];
  slot.key = key;
  slot.busy = true;
  slot.last_use = ++uses_;
  return choice;
}

void Slots::release(std::uint32_t sequence) {
  slots_[sequence].busy = false;
  slots_[sequence].last_use = ++uses_;
}

std::size_t Slots::used() const {
  return std::accumulate(
      slots_.begin(), slots_.end(), std::size_t{0},
      [](std::size_t sum, const Slot& slot) { return sum + slot.tokens.size(); });
}

bool Slots::has_idle() const {
  return std::ranges::any_of(slots_, [](const Slot& slot) { return !slot.busy; });
}

std::optional<std::uint32_t> Slots::oldest_cached() const {
  std::optional<std::uint32_t> found;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].busy || slots_[i].tokens.empty()) continue;
    if (!found || slots_[i].last_use < slots_[*found].last_use)
      found = static_cast<std::uint32_t>(i);
  }
  return found;
}

}  // namespace symbiont::worker
