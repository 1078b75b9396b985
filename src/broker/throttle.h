#ifndef SYMBIONT_BROKER_THROTTLE_H_
#define SYMBIONT_BROKER_THROTTLE_H_

// Who may move bytes when a bandwidth is set: connections take turns at one token bucket.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "broker/token_bucket.h"

namespace symbiont::broker {

/// Belongs to the loop's thread.
class Throttle {
 public:
  /// `bytes_per_second` 0: not limited.
  Throttle(std::uint64_t bytes_per_second, Clock::time_point now);

  /// Bytes that whoever runs now may read; 0: it has to wait_in_line().
  [[nodiscard]] std::size_t allowance(Clock::time_point now);
  void spend(std::size_t bytes) {
    if (bucket_.has_value()) bucket_->spend(bytes);
  }

  void wait_in_line(std::uint64_t id) { line_.push_back(id); }
  [[nodiscard]] bool is_anyone_waiting() const { return !line_.empty(); }
  /// The next in line, if it can have its turn now; end_turn() after it ran.
  [[nodiscard]] std::optional<std::uint64_t> begin_turn(Clock::time_point now);
  void end_turn() { is_turn_ = false; }
  /// Until begin_turn() has somebody. Only while somebody is waiting.
  [[nodiscard]] Clock::duration wait_time(Clock::time_point now) {
    return bucket_.has_value() ? bucket_->wait_for(turn_bytes_, now) : Clock::duration::zero();
  }

 private:
  std::optional<TokenBucket> bucket_;
  std::size_t turn_bytes_ = SIZE_MAX;  ///< a turn: five milliseconds' worth
  bool is_turn_ = false;
  std::deque<std::uint64_t> line_;
};

}  // namespace symbiont::broker

#endif  // SYMBIONT_BROKER_THROTTLE_H_
