#ifndef SYMBIONT_BROKER_LEDGER_H_
#define SYMBIONT_BROKER_LEDGER_H_

#include <atomic>
#include <chrono>
#include <cstdint>

#include "base/mutex.h"
#include "broker/broker.h"

namespace symbiont::broker {

/// What one broker has done: written by its thread, read by any.
class Ledger {
 public:
  void record(Decision decision) SYMBIONT_EXCLUDES(mutex_);
  void add_bytes_out(std::uint64_t bytes) { bytes_out_.fetch_add(bytes, kRelaxed); }
  void add_bytes_in(std::uint64_t bytes) { bytes_in_.fetch_add(bytes, kRelaxed); }
  void add_throttled(std::chrono::nanoseconds time) { throttled_ns_ += time.count(); }
  [[nodiscard]] BrokerReport report() const SYMBIONT_EXCLUDES(mutex_);

 private:
  static constexpr auto kRelaxed = std::memory_order_relaxed;  // counters order nothing

  mutable Mutex mutex_;
  BrokerReport decisions_ SYMBIONT_GUARDED_BY(mutex_);  ///< without the three counters below
  std::atomic<std::uint64_t> bytes_out_{0};
  std::atomic<std::uint64_t> bytes_in_{0};
  std::atomic<std::int64_t> throttled_ns_{0};
};

}  // namespace symbiont::broker

#endif  // SYMBIONT_BROKER_LEDGER_H_
