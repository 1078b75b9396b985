#ifndef SYMBIONT_WORKER_TEAM_H_
#define SYMBIONT_WORKER_TEAM_H_

// The threads that compute one step together. They meet hundreds of times in a step, so how they
// wait for each other decides the speed: spinning is fastest on an idle machine and takes the
// processor from everybody, themselves included, on a busy one. Each thread here learns from its
// last waits which of the two it is on. Threads never end before the process.

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace symbiont::worker {

/// How long one thread spins before it sleeps, in pauses of the processor (15 to 50 ns each).
/// A wait that ended while it spun allows more, one that had to sleep much less.
class SpinBudget {
 public:
  static constexpr std::uint32_t kLeast = 500;
  static constexpr std::uint32_t kMost = 20'000;

  [[nodiscard]] std::uint32_t spins() const { return spins_; }
  void was_enough();
  void was_too_little();

 private:
  std::uint32_t spins_ = kMost;
};

/// What others wait at until it is opened, again and again. Threads: all methods from any.
class Gate {
 public:
  /// To be read before whatever makes another thread open it.
  [[nodiscard]] std::uint32_t turn() const { return turn_.load(std::memory_order_acquire); }
  void open();
  /// Until it has been opened since turn() was `seen`.
  void wait(std::uint32_t seen, SpinBudget& budget);

 private:
  std::atomic<std::uint32_t> turn_{0};
  std::atomic<std::uint32_t> sleepers_{0};
};

/// Threads: run() from one at a time; a second one gets a team of one. Not fork-safe: a child has
/// no threads but the one that forked.
class Team {
 public:
  using Work = void (*)(void*);

  Team();
  ~Team();  ///< no work may be running
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  /// Runs `work(data)` on `threads` threads, of which the caller is number 0, and returns when all
  /// are through. On fewer where the system gives no more threads, or after settle(), and on the
  /// caller alone from within such work. `work` must not throw.
  void run(std::uint32_t threads, Work work, void* data);
  /// From now on the threads there are have to do: the last lock forbids new ones.
  void settle() { is_settled_ = true; }

  // Of the thread that calls, anywhere within its run() or outside (a team of one).
  [[nodiscard]] static std::uint32_t number();
  [[nodiscard]] static std::uint32_t size();
  /// Waits until all members are here.
  static void barrier();
  /// True for one of the members that come to the same call, to be followed by barrier().
  [[nodiscard]] static bool is_first();

 private:
  struct Member;  // a thread beside the caller
  struct Place;   // of the thread that calls, in a team
  static Place& place();

  void grow_to(std::uint32_t threads);
  void serve(Member& member);
  void work_as(std::uint32_t number, SpinBudget& budget);
  void meet(std::uint32_t size, SpinBudget& budget);

  std::vector<std::unique_ptr<Member>> members_;
  std::atomic<bool> is_busy_ = false;
  bool is_settled_ = false;
  SpinBudget caller_budget_;
  // Of the work that runs.
  Work work_ = nullptr;
  void* data_ = nullptr;
  std::uint32_t size_ = 1;
  bool is_over_ = false;
  std::atomic<std::uint32_t> firsts_{0};
  std::atomic<std::uint32_t> arrived_{0};
  alignas(
      64) Gate all_here_;  // apart from what arriving members write: others read it as they spin
};

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_TEAM_H_
