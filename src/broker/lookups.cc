#include "broker/lookups.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <csignal>
#include <system_error>
#include <thread>

#include "base/mutex.h"
#include "base/unique_fd.h"

namespace symbiont::broker {

struct Lookups::Shared {
  Shared(std::shared_ptr<Resolver> r, UniqueFd fd) : resolver(std::move(r)), event(std::move(fd)) {}

  void deliver(Answer answer) {
    {
      const MutexLock lock(mutex);
      answers.push_back(std::move(answer));
    }
    (void)eventfd_write(event.get(), 1);  // fails only when 2^64 answers are waiting
  }

  const std::shared_ptr<Resolver> resolver;
  const UniqueFd event;
  Mutex mutex;
  std::vector<Answer> answers SYMBIONT_GUARDED_BY(mutex);
};

Result<Lookups> Lookups::create(std::shared_ptr<Resolver> resolver) {
  UniqueFd event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event.is_valid()) return fail(errno_error("eventfd"));
  return Lookups(std::make_shared<Shared>(std::move(resolver), std::move(event)));
}

int Lookups::event_fd() const {
  return shared_->event.get();
}

void Lookups::start(std::uint64_t id, std::string name) {
  waiting_.emplace_back(id, std::move(name));
  start_waiting();
}

void Lookups::forget(std::uint64_t id) {
  std::erase_if(waiting_, [id](const auto& lookup) { return lookup.first == id; });
}

void Lookups::start_waiting() {
  while (running_ < kMaxLookups && !waiting_.empty()) {
    const auto id = waiting_.front().first;
    auto name = std::move(waiting_.front().second);
    waiting_.pop_front();
    ++running_;
    try {
      // The thread inherits the loop's signal mask, which blocks everything.
      std::thread([shared = shared_, id, asked = std::move(name)] {
        shared->deliver({.id = id, .addresses = shared->resolver->resolve(asked)});
      }).detach();
    } catch (const std::system_error& error) {
      shared_->deliver({.id = id,
                        .addresses = fail(ErrorCode::ResourceExhausted,
                                          std::string("no thread for a lookup: ") + error.what())});
    }
  }
}

std::vector<Lookups::Answer> Lookups::collect() {
  eventfd_t count = 0;
  (void)eventfd_read(shared_->event.get(),
                     &count);  // nothing there: then there is no answer either
  std::vector<Answer> answers;
  {
    const MutexLock lock(shared_->mutex);
    answers.swap(shared_->answers);
  }
  running_ -= answers.size();
  start_waiting();
  return answers;
}

}  // namespace symbiont::broker
