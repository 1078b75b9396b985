#ifndef SYMBIONT_BROKER_LOOKUPS_H_
#define SYMBIONT_BROKER_LOOKUPS_H_

// Name resolution beside the event loop. A lookup cannot be cancelled, so nobody waits for one: the
// threads are detached and share what they touch.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "broker/address.h"
#include "broker/resolver.h"

namespace symbiont::broker {

inline constexpr std::size_t kMaxLookups = 8;  ///< at once; more wait for one to end

/// Belongs to one thread.
class Lookups {
 public:
  struct Answer {
    std::uint64_t id;
    Result<std::vector<Address>> addresses;
  };

  /// The error is that of eventfd().
  [[nodiscard]] static Result<Lookups> create(std::shared_ptr<Resolver> resolver);

  /// Readable when collect() has something to give.
  [[nodiscard]] int event_fd() const;
  /// Starts to resolve `name`, or puts it in the queue; the answer carries `id`.
  void start(std::uint64_t id, std::string name);
  /// Takes the lookup of `id` from the queue; one under way ends by itself.
  void forget(std::uint64_t id);
  /// Answers since the last call. Starts what was waiting.
  [[nodiscard]] std::vector<Answer> collect();

 private:
  struct Shared;
  explicit Lookups(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  void start_waiting();

  std::shared_ptr<Shared> shared_;
  std::size_t running_ = 0;
  std::deque<std::pair<std::uint64_t, std::string>> waiting_;
};

}  // namespace symbiont::broker

#endif  // SYMBIONT_BROKER_LOOKUPS_H_
