#include "broker/throttle.h"

namespace symbiont::broker {

Throttle::Throttle(std::uint64_t bytes_per_second, Clock::time_point now) {
  if (bytes_per_second == 0) return;
  bucket_.emplace(bytes_per_second, now);
  turn_bytes_ = std::clamp<std::size_t>(bytes_per_second / 200, 512, bucket_->burst() / 4);
}

std::size_t Throttle::allowance(Clock::time_point now) {
  if (!bucket_.has_value()) return SIZE_MAX;
  if (!is_turn_ && !line_.empty()) return 0;  // nobody overtakes
  const auto available = bucket_->available(now);
  return available < turn_bytes_ ? 0 : turn_bytes_;
}

std::optional<std::uint64_t> Throttle::begin_turn(Clock::time_point now) {
  if (line_.empty() || wait_time(now) > Clock::duration::zero()) return std::nullopt;
  const auto id = line_.front();
  line_.pop_front();
  is_turn_ = true;
  return id;
}

}  // namespace symbiont::broker
