#ifndef SYMBIONT_RUNNERS_IDLE_MEMORY_H_
#define SYMBIONT_RUNNERS_IDLE_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include "base/mutex.h"

namespace symbiont {

/// Holds a warm process to the memory that it was measured to hold while it executes nothing: so
/// whoever counts it with that counts with what the kernel lets it have. Threads: any.
class IdleMemory {
 public:
  /// Sets the limit in bytes, 0: the profile's. False: it could not.
  using SetLimit = std::function<bool(std::uint64_t bytes)>;
  explicit IdleMemory(SetLimit set_limit) : set_limit_(std::move(set_limit)) {}

  /// Before an execution; the first of several lifts the limit. After false it is not to begin.
  /// Each call, whatever it returns, takes an end_execution().
  [[nodiscard]] bool begin_execution();
  /// After one; the last lowers the limit to `peak_bytes`, 0: not known, and it stays. After false
  /// the process is not held.
  [[nodiscard]] bool end_execution(std::uint64_t peak_bytes);

 private:
  const SetLimit set_limit_;
  Mutex mutex_;  // also while the limit is set: nobody executes before that is done
  std::size_t executions_ SYMBIONT_GUARDED_BY(mutex_) = 0;
  bool is_lowered_ SYMBIONT_GUARDED_BY(mutex_) = false;
};

}  // namespace symbiont

#endif  // SYMBIONT_RUNNERS_IDLE_MEMORY_H_
