#include "broker/token_bucket.h"

#include <algorithm>

namespace symbiont::broker {
namespace {

constexpr std::int64_t kMicro = 1'000'000;
constexpr std::uint64_t kMaxRate = 1'000'000'000'000;
// Longer gaps fill any bucket; the bound keeps the product below 2^63.
constexpr std::chrono::microseconds kMaxGap = std::chrono::seconds(1);
constexpr std::int64_t kMaxDebt = std::int64_t{1} << 40U;  // bytes

}  // namespace

TokenBucket::TokenBucket(std::uint64_t bytes_per_second, Clock::time_point now)
    : rate_(std::clamp<std::uint64_t>(bytes_per_second, 1, kMaxRate)),
      burst_(std::max(kMinBurstBytes, rate_ / 10)),
      last_(now) {}

void TokenBucket::refill(Clock::time_point now) {
  if (now <= last_) return;
  using std::chrono::microseconds;
  const auto whole = std::chrono::floor<microseconds>(now - last_);
  last_ += whole;  // what is less than a microsecond counts next time
  const auto limit = static_cast<std::int64_t>(burst_) * kMicro;
  // A low rate needs longer than kMaxGap to fill its burst.
  auto left = std::min<microseconds>(whole, std::chrono::hours(24));
  while (left.count() > 0 && tokens_ < limit) {
    const auto gap = std::min(left, kMaxGap);
    tokens_ = std::min(limit, tokens_ + gap.count() * static_cast<std::int64_t>(rate_));
    left -= gap;
  }
}

std::uint64_t TokenBucket::available(Clock::time_point now) {
  refill(now);
  return tokens_ <= 0 ? 0 : static_cast<std::uint64_t>(tokens_ / kMicro);
}

void TokenBucket::spend(std::uint64_t bytes) {
  const auto taken =
      static_cast<std::int64_t>(std::min(bytes, static_cast<std::uint64_t>(kMaxDebt)));
  tokens_ = std::max(tokens_ - taken * kMicro, -kMaxDebt * kMicro);
}

Clock::duration TokenBucket::wait_for(std::uint64_t bytes, Clock::time_point now) {
  refill(now);
  const auto wanted = static_cast<std::int64_t>(std::min(bytes, burst_)) * kMicro;
  if (tokens_ >= wanted) return Clock::duration::zero();
  const auto rate = static_cast<std::int64_t>(rate_);
  return std::chrono::microseconds((wanted - tokens_ + rate - 1) / rate);
}

}  // namespace symbiont::broker
