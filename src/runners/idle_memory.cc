#include "runners/idle_memory.h"

namespace symbiont {

bool IdleMemory::begin_execution() {
  const MutexLock lock(mutex_);
  ++executions_;
  if (!is_lowered_) return true;
  if (!set_limit_(0)) return false;
  is_lowered_ = false;
  return true;
}

bool IdleMemory::end_execution(std::uint64_t peak_bytes) {
  const MutexLock lock(mutex_);
  if (--executions_ > 0 || is_lowered_ || peak_bytes == 0) return true;
  is_lowered_ = set_limit_(peak_bytes);
  return is_lowered_;
}

}  // namespace symbiont
