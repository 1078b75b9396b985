#include "api/doorbell.h"

#include <fcntl.h>
#include <sys/eventfd.h>

#include <utility>

namespace symbiont::api {

Result<std::shared_ptr<Doorbell>> Doorbell::create() {
  UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event.is_valid()) return fail(errno_error("make an eventfd"));
  return std::shared_ptr<Doorbell>(new Doorbell(std::move(event)));
}

Result<UniqueFd> Doorbell::watch() const {
  UniqueFd copy(::fcntl(event_.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy.is_valid()) return fail(errno_error("watch an eventfd"));
  return copy;
}

void Doorbell::ring(const std::weak_ptr<Signal>& signal) {
  {
    const MutexLock lock(mutex_);
    rung_.push_back(signal);
    if (rung_.size() > 1) return;  // whoever was first wakes the loop
  }
  (void)::eventfd_write(event_.get(), 1);  // fails at 2^64 only
}

void Doorbell::answer() {
  eventfd_t rings = 0;
  (void)::eventfd_read(event_.get(), &rings);  // first: a ring from here on wakes again
  std::vector<std::weak_ptr<Signal>> rung;
  {
    const MutexLock lock(mutex_);
    rung.swap(rung_);
  }
  for (const std::weak_ptr<Signal>& signal : rung) {
    if (const auto living = signal.lock()) living->notify();
  }
}

}  // namespace symbiont::api
