#include "worker/places.h"

#include <algorithm>
#include <optional>

namespace symbiont::worker {
namespace {

/// Cells that a new execution finds free beside its prompt's, so that it is not displaced at once.
constexpr std::size_t kAnswerHeadroom = 64;
/// Fewer tokens of a common beginning are not worth waiting for.
constexpr std::size_t kLeastShared = 16;

/// Tokens that both begin with; 0 where there are fewer than `least`.
std::size_t common_beginning(const std::vector<TokenId>& one,
                             const std::vector<TokenId>& other,
                             std::size_t least) {
  if (std::min(one.size(), other.size()) < least) return 0;
  if (least > 0 && one[least - 1] != other[least - 1]) return 0;  // spares most comparisons
  const auto differs = std::ranges::mismatch(one, other).in1;
  const auto length = static_cast<std::size_t>(differs - one.begin());
  return length < least ? 0 : length;
}

}  // namespace

bool Places::make_room(std::size_t tokens) {
  while (slots_.used() + tokens > engine_.cells()) {
    const auto oldest = slots_.oldest_cached();
    if (!oldest) return false;
    forget_all(*oldest);
  }
  return true;
}

bool Places::make_room_for(const Execution& execution) {
  return make_room(std::min(execution.tokens().size() + kAnswerHeadroom, engine_.cells()));
}

void Places::place(Execution& execution) {
  auto choice = slots_.take(execution.request().cache_key, execution.tokens());
  if (execution.is_embedding()) {  // it needs the vectors of all its tokens, not their cells only
    choice->kept = 0;
    choice->shared_from.reset();
  }
  std::vector<TokenId>& held = slots_.held(choice->sequence);
  held.resize(choice->shared_from ? 0 : choice->kept);
  forget_beyond_held(choice->sequence);
  if (choice->shared_from && engine_.can_share()) {
    engine_.share(*choice->shared_from, choice->sequence, choice->kept);
    const auto from = execution.tokens().begin();
    held.assign(from, from + static_cast<std::ptrdiff_t>(choice->kept));
  }
  execution.place(choice->sequence, held.size());
}

void Places::displace(Execution& execution) {
  forget_all(execution.sequence());
  release(execution);
  execution.displace();
}

void Places::forget_beyond_held(std::uint32_t sequence) {
  std::vector<TokenId>& held = slots_.held(sequence);
  if (!engine_.forget(sequence, held.size())) held.clear();
}

void Places::forget_all(std::uint32_t sequence) {
  slots_.held(sequence).clear();
  forget_beyond_held(sequence);
}

bool Places::share_beginning(Execution& execution, const Executions& active) {
  if (!engine_.can_share()) return false;
  const std::vector<TokenId>& tokens = execution.tokens();
  std::size_t best = held(execution) + kLeastShared - 1;  // what there must be more of
  const Execution* source = nullptr;
  for (const Execution& other : active) {
    if (&other == &execution) break;
    if (other.is_embedding() || other.request().cache_key != execution.request().cache_key)
      continue;
    std::size_t common = common_beginning(tokens, other.tokens(), best + 1);
    common = std::min(common, tokens.size() - 1);  // sampling needs the logits of the last one
    if (missing(other) == 1) common = std::min(common, held(other));
    if (common <= best) continue;
    best = common;
    source = &other;
  }
  if (source == nullptr) return false;
  if (held(*source) < best) return true;
  forget_all(execution.sequence());
  engine_.share(source->sequence(), execution.sequence(), best);
  const auto from = tokens.begin();
  slots_.held(execution.sequence()).assign(from, from + static_cast<std::ptrdiff_t>(best));
  execution.share(best);
  return false;
}

}  // namespace symbiont::worker
