#include "worker/team.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <system_error>
#include <thread>
#include <utility>

namespace symbiont::worker {
namespace {

void pause_processor() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");  // NOLINT(hicpp-no-assembler): yield takes no time at all
#endif
}

// Called directly: std::atomic's wait() spins by itself and asks for wakes nobody needs.
void sleep_while(std::atomic<std::uint32_t>& word, std::uint32_t value) {
  (void)::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}

void wake_all(std::atomic<std::uint32_t>& word) {
  (void)::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace

void SpinBudget::was_enough() {
  spins_ = std::min(kMost, spins_ + spins_ / 4);
}

void SpinBudget::was_too_little() {
  spins_ = std::max(kLeast, spins_ / 4);
}

void Gate::open() {
  turn_.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) != 0) wake_all(turn_);
}

void Gate::wait(std::uint32_t seen, SpinBudget& budget) {
  for (std::uint32_t i = 0; i < budget.spins(); ++i) {
    if (turn() != seen) return budget.was_enough();
    pause_processor();
  }
  budget.was_too_little();
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  while (turn() == seen)
    sleep_while(turn_, seen);
  sleepers_.fetch_sub(1, std::memory_order_relaxed);
}

struct Team::Member {
  std::uint32_t number = 0;
  Gate go{};
  SpinBudget idle_budget{};  // between one work and the next
  SpinBudget budget{};
  std::thread thread{};
};

struct Team::Place {
  Team* team = nullptr;
  std::uint32_t number = 0;
  std::uint32_t size = 1;
  std::uint32_t firsts = 0;  // calls of is_first() so far
  SpinBudget* budget = nullptr;
};

Team::Place& Team::place() {
  thread_local Place place;
  return place;
}

std::uint32_t Team::number() {
  return place().number;
}

std::uint32_t Team::size() {
  return place().size;
}

void Team::barrier() {
  const Place& here = place();
  if (here.size > 1) here.team->meet(here.size, *here.budget);
}

bool Team::is_first() {
  Place& here = place();
  if (here.size <= 1) return true;
  std::uint32_t mine = here.firsts++;
  return here.team->firsts_.compare_exchange_strong(mine, mine + 1);
}

/// `size` is the member's own: size_ may be the next work's as soon as the last one has arrived.
void Team::meet(std::uint32_t size, SpinBudget& budget) {
  const std::uint32_t seen = all_here_.turn();
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size) {
    arrived_.store(0, std::memory_order_relaxed);
    all_here_.open();
  } else {
    all_here_.wait(seen, budget);
  }
}

void Team::work_as(std::uint32_t number, SpinBudget& budget) {
  const Place here{.team = this, .number = number, .size = size_, .firsts = 0, .budget = &budget};
  const Place outer = std::exchange(place(), here);
  work_(data_);
  if (here.size > 1) meet(here.size, budget);
  place() = outer;
}

void Team::serve(Member& member) {
  std::uint32_t seen = 0;
  while (true) {
    member.go.wait(seen, member.idle_budget);
    ++seen;
    if (is_over_) return;
    work_as(member.number, member.budget);
  }
}

void Team::grow_to(std::uint32_t threads) {
  while (!is_settled_ && members_.size() + 1 < threads) {
    auto member = std::make_unique<Member>();
    member->number = static_cast<std::uint32_t>(members_.size()) + 1;
    try {
      member->thread = std::thread([this, &one = *member] { serve(one); });
    } catch (const std::system_error&) {
      return;  // fewer have to do
    }
    members_.push_back(std::move(member));
  }
}

void Team::run(std::uint32_t threads, Work work, void* data) {
  if (is_busy_.exchange(true, std::memory_order_acquire)) {
    const Place outer = std::exchange(place(), Place());
    work(data);
    place() = outer;
    return;
  }
  grow_to(threads);
  work_ = work;
  data_ = data;
  size_ = std::clamp<std::uint32_t>(threads, 1, static_cast<std::uint32_t>(members_.size()) + 1);
  firsts_.store(0, std::memory_order_relaxed);
  for (std::uint32_t i = 0; i + 1 < size_; ++i)
    members_[i]->go.open();
  work_as(0, caller_budget_);
  is_busy_.store(false, std::memory_order_release);
}

Team::Team() = default;

Team::~Team() {
  is_over_ = true;
  for (const auto& member : members_)
    member->go.open();
  for (const auto& member : members_)
    member->thread.join();
}

}  // namespace symbiont::worker
