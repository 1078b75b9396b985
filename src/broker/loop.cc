#include "broker/loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace symbiont::broker {
namespace {

constexpr std::uint64_t kListenerTag = 0;
constexpr std::uint64_t kStopTag = 1;
constexpr std::uint64_t kLookupsTag = 2;
constexpr std::uint64_t kFirstId = 2;  // its tags are 4 and 5

constexpr std::chrono::milliseconds kAcceptPause(100);
constexpr std::size_t kEventsAtOnce = 64;

}  // namespace

Result<std::unique_ptr<Loop>> Loop::create(Setup setup, Ledger& ledger) {
  SYMBIONT_TRY(auto lookups, Lookups::create(setup.resolver));
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.is_valid()) return fail(errno_error("epoll_create1"));
  UniqueFd stop_event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop_event.is_valid()) return fail(errno_error("eventfd"));
  std::unique_ptr<Loop> loop(new Loop(std::move(setup), std::move(lookups), std::move(epoll),
                                      std::move(stop_event), ledger));
  SYMBIONT_TRY_STATUS(loop->watch(loop->setup_.listener.get(), kListenerTag));
  SYMBIONT_TRY_STATUS(loop->watch(loop->stop_event_.get(), kStopTag));
  SYMBIONT_TRY_STATUS(loop->watch(loop->lookups_.event_fd(), kLookupsTag));
  return loop;
}

Loop::Loop(Setup setup, Lookups lookups, UniqueFd epoll, UniqueFd stop_event, Ledger& ledger)
    : setup_(std::move(setup)),
      ledger_(ledger),
      lookups_(std::move(lookups)),
      epoll_(std::move(epoll)),
      stop_event_(std::move(stop_event)),
      throttle_(setup_.bytes_per_second, Clock::now()),
      scratch_(kMaxPendingBytes),
      around_{.destinations = setup_.destinations,
              .require_encryption = setup_.require_encryption,
              .limits = setup_.limits,
              .ledger = ledger_,
              .lookups = lookups_,
              .throttle = throttle_,
              .scratch = scratch_,
              .epoll = epoll_.get()},
      next_id_(kFirstId) {}

Loop::~Loop() = default;

Status Loop::watch(int fd, std::uint64_t tag) const {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return fail(errno_error("epoll_ctl"));
  }
  return {};
}

void Loop::stop() {
  (void)eventfd_write(stop_event_.get(), 1);
}  // one write never blocks

void Loop::run() {
  std::array<epoll_event, kEventsAtOnce> events{};
  while (!is_stopping_) {
    const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                 wait_ms(Clock::now()));
    const auto now = Clock::now();
    for (int i = 0; i < count; ++i) {
      const auto& event = events.at(static_cast<std::size_t>(i));
      dispatch(event.data.u64, event.events, now);
    }
    expire(now);
    run_ready(now);
    take_turns(now);
    account_waiting(now);
  }
  connections_.clear();
  setup_.listener.reset();
}

// Milliseconds to wait for events; -1: for as long as it takes.
int Loop::wait_ms(Clock::time_point now) {
  if (!runnable_.empty()) return 0;
  auto until = Clock::time_point::max();
  for (const auto& [id, connection] : connections_) {
    until = std::min(until, connection->deadline());
  }
  if (accept_again_.has_value()) until = std::min(until, *accept_again_);
  if (throttle_.is_anyone_waiting()) until = std::min(until, now + throttle_.wait_time(now));
  if (until == Clock::time_point::max()) return -1;
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(until - now).count();
  return static_cast<int>(std::clamp<std::int64_t>(wait, 0, 60'000));
}

void Loop::dispatch(std::uint64_t tag, std::uint32_t events, Clock::time_point now) {
  if (tag == kListenerTag) return accept_all(now);
  if (tag == kLookupsTag) return take_answers(now);
  if (tag == kStopTag) {
    is_stopping_ = true;
    return;
  }
  const auto found = connections_.find(tag / 2);
  if (found == connections_.end()) return;
  found->second->on_event(tag % 2 == 0 ? Side::Client : Side::Upstream, events);
  make_runnable(found->first, *found->second);
}

void Loop::accept_all(Clock::time_point now) {
  while (connections_.size() < setup_.limits.connections) {
    UniqueFd client(accept4(setup_.listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (client.is_valid()) {
      const auto id = next_id_++;
      auto connection = std::make_unique<Connection>(id, std::move(client), around_, now);
      make_runnable(id, *connection);
      connections_.emplace(id, std::move(connection));
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno == EAGAIN) return;
    accept_again_ = now + kAcceptPause;  // no descriptor or no memory: some may come free
    break;
  }
  set_accepting(false);
}

// The rest waits in the listen queue.
void Loop::set_accepting(bool accepting) {
  if (accepting == is_accepting_) return;
  epoll_event event{};
  event.events = accepting ? std::uint32_t{EPOLLIN} : 0U;
  event.data.u64 = kListenerTag;
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, setup_.listener.get(), &event);  // is registered
  is_accepting_ = accepting;
}

void Loop::take_answers(Clock::time_point now) {
  for (auto& answer : lookups_.collect()) {
    const auto found = connections_.find(answer.id);
    if (found == connections_.end()) continue;
    found->second->on_lookup(std::move(answer.addresses), now);
    make_runnable(found->first, *found->second);
  }
}

void Loop::expire(Clock::time_point now) {
  if (accept_again_.has_value() && now >= *accept_again_) {
    accept_again_.reset();
    set_accepting(true);
  }
  for (const auto& [id, connection] : connections_) {
    if (connection->deadline() > now) continue;
    connection->on_deadline(now);
    make_runnable(id, *connection);
  }
}

void Loop::make_runnable(std::uint64_t id, Connection& connection) {
  if (connection.is_runnable) return;
  connection.is_runnable = true;
  runnable_.push_back(id);
}

void Loop::run_ready(Clock::time_point now) {
  for (const auto id : std::exchange(runnable_, {}))
    run_one(id, now);
}

// Everybody in line at most once, so that new events are seen in between.
void Loop::take_turns(Clock::time_point now) {
  for (std::size_t turns = connections_.size(); turns > 0; --turns) {
    const auto id = throttle_.begin_turn(now);
    if (!id.has_value()) return;
    const auto found = connections_.find(*id);
    if (found != connections_.end()) found->second->is_in_line = false;
    run_one(*id, now);
    throttle_.end_turn();
  }
}

void Loop::run_one(std::uint64_t id, Clock::time_point now) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  auto& connection = *found->second;
  connection.is_runnable = false;
  switch (connection.run(now)) {
    case Connection::Next::Wait:
      return;
    case Connection::Next::RunAgain:
      return make_runnable(id, connection);
    case Connection::Next::WaitForBandwidth:
      if (!std::exchange(connection.is_in_line, true)) throttle_.wait_in_line(id);
      return;
    case Connection::Next::Finished:
      connections_.erase(found);
      if (!accept_again_.has_value()) set_accepting(true);
      return;
  }
}

void Loop::account_waiting(Clock::time_point now) {
  if (waiting_since_.has_value()) ledger_.add_throttled(now - *waiting_since_);
  waiting_since_.reset();
  if (throttle_.is_anyone_waiting()) waiting_since_ = now;
}

}  // namespace symbiont::broker
