#ifndef SYMBIONT_BROKER_TOKEN_BUCKET_H_
#define SYMBIONT_BROKER_TOKEN_BUCKET_H_

// A rate with a bounded burst. The caller brings the time, so that nothing here waits.

#include <chrono>
#include <cstdint>

namespace symbiont::broker {

using Clock = std::chrono::steady_clock;

inline constexpr std::uint64_t kMinBurstBytes = 64 * 1024;

/// Starts empty: a transfer is not above its rate from its first second on. Not thread-safe.
class TokenBucket {
 public:
  /// `bytes_per_second` of 1 to 10^12; the burst is a tenth of a second, at least kMinBurstBytes.
  TokenBucket(std::uint64_t bytes_per_second, Clock::time_point now);

  [[nodiscard]] std::uint64_t burst() const { return burst_; }
  /// Bytes that may be moved now; 0 while a debt is paid off. Time never runs backwards here.
  [[nodiscard]] std::uint64_t available(Clock::time_point now);
  /// Takes `bytes`, also more than there are: the rest is a debt.
  void spend(std::uint64_t bytes);
  /// How long until `bytes` (at most the burst) are available; zero when they are.
  [[nodiscard]] Clock::duration wait_for(std::uint64_t bytes, Clock::time_point now);

 private:
  void refill(Clock::time_point now);

  // In millionths of a byte, so that short intervals at low rates add up without loss.
  std::int64_t tokens_ = 0;
  std::uint64_t rate_;
  std::uint64_t burst_;
  Clock::time_point last_;
};

}  // namespace symbiont::broker

#endif  // SYMBIONT_BROKER_TOKEN_BUCKET_H_
