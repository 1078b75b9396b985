#ifndef SYMBIONT_ENGINE_FAIR_QUEUE_H_
#define SYMBIONT_ENGINE_FAIR_QUEUE_H_

// Whose turn it is: deficit round robin. Each agent earns kQuantumTokens a round and spends what
// its oldest request is expected to cost, so that one agent's long requests delay another's short
// ones by one quantum, not by their length.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace symbiont {

/// Not thread-safe. `T` is cheap to move and comparable.
template <typename T>
class FairQueue {
 public:
  static constexpr std::uint64_t kQuantumTokens = 1024;

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t size_of(std::string_view agent) const {
    const auto found = agents_.find(agent);
    return found == agents_.end() ? 0 : found->second.items.size();
  }

  void push(const std::string& agent, std::uint64_t cost, T item) {
    auto [found, is_new] = agents_.try_emplace(agent);
    if (is_new) ring_.push_back(agent);
    found->second.items.push_back({std::move(item), std::max<std::uint64_t>(cost, 1)});
    ++size_;
  }

  /// The next item of an agent for whom `may_run(agent)`; nothing when there is none.
  [[nodiscard]] std::optional<T> pop(const std::function<bool(const std::string&)>& may_run) {
    std::uint64_t fewest_rounds = kNever;
    for (std::size_t turn = 0; turn < ring_.size(); ++turn) {
      const std::uint64_t rounds = rounds_needed(ring_.front(), may_run);
      if (rounds == 0) return take_front();
      fewest_rounds = std::min(fewest_rounds, rounds);
      ring_.splice(ring_.end(), ring_, ring_.begin());
    }
    if (fewest_rounds == kNever) return std::nullopt;
    // Nobody can pay yet: all the rounds in which nobody could, at once.
    for (auto& [agent, queue] : agents_)
      queue.deficit += fewest_rounds * kQuantumTokens;
    while (rounds_needed(ring_.front(), may_run) != 0)
      ring_.splice(ring_.end(), ring_, ring_.begin());
    return take_front();
  }

  /// Takes one item out; false when it is not there.
  bool remove(const std::string& agent, const T& item) {
    const auto found = agents_.find(agent);
    if (found == agents_.end()) return false;
    auto& items = found->second.items;
    const auto at = std::ranges::find(items, item, &Item::value);
    if (at == items.end()) return false;
    items.erase(at);
    --size_;
    if (items.empty()) {
      ring_.remove(agent);
      agents_.erase(found);
    }
    return true;
  }

 private:
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
  struct Item {
    T value;
    std::uint64_t cost;
  };
  struct Queue {
    std::deque<Item> items;  // never empty while it is in the map
    std::uint64_t deficit = 0;
  };

  std::uint64_t rounds_needed(const std::string& agent,
                              const std::function<bool(const std::string&)>& may_run) const {
    if (!may_run(agent)) return kNever;
    const Queue& queue = agents_.find(agent)->second;
    const std::uint64_t cost = queue.items.front().cost;
    if (cost <= queue.deficit) return 0;
    return (cost - queue.deficit + kQuantumTokens - 1) / kQuantumTokens;
  }

  T take_front() {
    const auto found = agents_.find(ring_.front());
    Queue& queue = found->second;
    T value = std::move(queue.items.front().value);
    queue.deficit -= queue.items.front().cost;
    queue.items.pop_front();
    --size_;
    if (queue.items.empty()) {  // what an idle agent has saved is lost
      agents_.erase(found);
      ring_.pop_front();
    } else if (queue.items.front().cost > queue.deficit) {
      ring_.splice(ring_.end(), ring_, ring_.begin());
    }
    return value;
  }

  std::map<std::string, Queue, std::less<>> agents_;
  std::list<std::string> ring_;  // every agent of the map once, the next one first
  std::size_t size_ = 0;
};

}  // namespace symbiont

#endif  // SYMBIONT_ENGINE_FAIR_QUEUE_H_
