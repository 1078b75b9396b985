#include "worker/team.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace symbiont::worker {
namespace {

/// `run()` with anything that can be called.
template <typename Work>
void run(Team& team, std::uint32_t threads, Work work) {
  team.run(threads, [](void* data) { (*static_cast<Work*>(data))(); }, &work);
}

std::vector<std::thread::id> threads_of(Team& team, std::uint32_t threads) {
  std::vector<std::thread::id> ids(threads);
  run(team, threads, [&] { ids[Team::number()] = std::this_thread::get_id(); });
  return ids;
}

TEST(TeamTest, EveryMemberWorksOnceAndKnowsItsNumber) {
  Team team;
  std::array<std::atomic<int>, 4> seen{};
  std::atomic<int> right_size = 0;
  run(team, 4, [&] {
    ++seen[Team::number()];
    if (Team::size() == 4) ++right_size;
  });
  for (const std::atomic<int>& times : seen)
    EXPECT_EQ(times, 1);
  EXPECT_EQ(right_size, 4);
}

TEST(TeamTest, TheCallerIsNumberZero) {
  Team team;
  EXPECT_EQ(threads_of(team, 3)[0], std::this_thread::get_id());
}

TEST(TeamTest, NobodyLeavesABarrierBeforeAllCame) {
  constexpr int kRounds = 300;
  Team team;
  std::atomic<int> came = 0;
  std::atomic<int> early = 0;
  run(team, 3, [&] {
    for (int round = 1; round <= kRounds; ++round) {
      // One of them is late in every tenth round, so that the others have to sleep.
      for (int i = 0; round % 10 == 0 && Team::number() == 1 && i < 200; ++i)
        std::this_thread::yield();
      ++came;
      Team::barrier();
      if (came < 3 * round) ++early;
      Team::barrier();
    }
  });
  EXPECT_EQ(early, 0);
}

TEST(TeamTest, OneMemberIsFirstAtEachCall) {
  Team team;
  std::array<std::atomic<int>, 50> firsts{};
  run(team, 3, [&] {
    for (std::atomic<int>& count : firsts) {
      if (Team::is_first()) ++count;
      Team::barrier();
    }
  });
  for (const std::atomic<int>& count : firsts)
    EXPECT_EQ(count, 1);
}

TEST(TeamTest, ASmallerTeamLeavesTheThreadsOfALargerOne) {
  Team team;
  const auto before = threads_of(team, 4);
  EXPECT_EQ(threads_of(team, 2), std::vector(before.begin(), before.begin() + 2));
  EXPECT_EQ(threads_of(team, 4), before);
}

TEST(TeamTest, WorkOfChangingSizesFollowsAtOnce) {
  constexpr int kRounds = 20'000;
  Team team;
  std::atomic<int> runs = 0;
  for (int round = 0; round < kRounds; ++round)
    run(team, static_cast<std::uint32_t>(round % 3) + 1, [&] { ++runs; });
  EXPECT_EQ(runs, kRounds / 3 * 6 + 1 + 2);
}

TEST(TeamTest, ASettledTeamDoesWithTheThreadsItHas) {
  Team team;
  const auto before = threads_of(team, 2);
  team.settle();
  std::atomic<int> members = 0;
  std::atomic<int> right_size = 0;
  run(team, 8, [&] {
    ++members;
    if (Team::size() == 2) ++right_size;
  });
  EXPECT_EQ(members, 2);
  EXPECT_EQ(right_size, 2);
}

TEST(TeamTest, WorkWithinWorkIsDoneByTheMemberAlone) {
  Team team;
  std::atomic<int> inner_runs = 0;
  std::atomic<int> outer_sizes = 0;
  run(team, 2, [&] {
    run(team, 2, [&] {
      if (Team::size() == 1 && Team::number() == 0 && Team::is_first()) ++inner_runs;
      Team::barrier();
    });
    outer_sizes += static_cast<int>(Team::size());
  });
  EXPECT_EQ(inner_runs, 2);
  EXPECT_EQ(outer_sizes, 4);
}

TEST(TeamTest, OutsideOfWorkEverybodyIsATeamOfOne) {
  EXPECT_EQ(Team::number(), 0U);
  EXPECT_EQ(Team::size(), 1U);
  EXPECT_TRUE(Team::is_first());
  Team::barrier();
}

TEST(SpinBudgetTest, ShrinksFastAndGrowsSlowlyWithinItsBounds) {
  SpinBudget budget;
  EXPECT_EQ(budget.spins(), SpinBudget::kMost);
  budget.was_too_little();
  EXPECT_EQ(budget.spins(), SpinBudget::kMost / 4);
  budget.was_enough();
  EXPECT_EQ(budget.spins(), SpinBudget::kMost / 4 + SpinBudget::kMost / 16);
  for (int i = 0; i < 20; ++i)
    budget.was_too_little();
  EXPECT_EQ(budget.spins(), SpinBudget::kLeast);
  for (int i = 0; i < 100; ++i)
    budget.was_enough();
  EXPECT_EQ(budget.spins(), SpinBudget::kMost);
}

}  // namespace
}  // namespace symbiont::worker
