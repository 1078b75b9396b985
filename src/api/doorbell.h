#ifndef SYMBIONT_API_DOORBELL_H_
#define SYMBIONT_API_DOORBELL_H_

#include <memory>
#include <vector>

#include "api/signal.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace symbiont::api {

/// Tells the loop from other threads whom to notify. Many rings between two turns of the loop cost
/// one wake, and whoever rings never waits for the loop, nor the loop for it, as with asio's own
/// queue: both hold its lock while they enter the kernel.
class Doorbell {
 public:
  [[nodiscard]] static Result<std::shared_ptr<Doorbell>> create();

  /// From any thread, at any time: a signal that is gone is passed over.
  void ring(const std::weak_ptr<Signal>& signal);
  /// A descriptor of the caller's own, readable once somebody has rung.
  [[nodiscard]] Result<UniqueFd> watch() const;
  /// Notifies everybody rung for. On the loop's thread.
  void answer();

 private:
  explicit Doorbell(UniqueFd event) : event_(std::move(event)) {}

  UniqueFd event_;
  Mutex mutex_;
  std::vector<std::weak_ptr<Signal>> rung_ SYMBIONT_GUARDED_BY(mutex_);
};

}  // namespace symbiont::api

#endif  // SYMBIONT_API_DOORBELL_H_
