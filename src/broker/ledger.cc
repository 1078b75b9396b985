#include "broker/ledger.h"

#include <utility>

namespace symbiont::broker {

void Ledger::record(Decision decision) {
  const MutexLock lock(mutex_);
  ++(decision.allowed ? decisions_.allowed : decisions_.denied);
  if (decisions_.decisions.size() < kMaxDecisions) {
    decisions_.decisions.push_back(std::move(decision));
  } else {
    ++decisions_.decisions_dropped;
  }
}

BrokerReport Ledger::report() const {
  BrokerReport report;
  {
    const MutexLock lock(mutex_);
    report = decisions_;
  }
  report.bytes_out = bytes_out_.load(kRelaxed);
  report.bytes_in = bytes_in_.load(kRelaxed);
  const std::chrono::nanoseconds throttled(throttled_ns_.load(kRelaxed));
  report.throttled_ms = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(throttled).count());
  return report;
}

}  // namespace symbiont::broker
