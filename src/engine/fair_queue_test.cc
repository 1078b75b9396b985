#include "engine/fair_queue.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace symbiont {
namespace {

using ::testing::ElementsAre;

bool anybody(const std::string& /*agent*/) {
  return true;
}

std::vector<int> drain(FairQueue<int>& queue) {
  std::vector<int> order;
  while (auto item = queue.pop(anybody))
    order.push_back(*item);
  return order;
}

TEST(FairQueueTest, KeepsTheOrderOfOneAgent) {
  FairQueue<int> queue;
  for (int i = 0; i < 4; ++i)
    queue.push("ann", 100'000, i);
  EXPECT_EQ(queue.size(), 4U);
  EXPECT_THAT(drain(queue), ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(queue.size(), 0U);
  EXPECT_EQ(queue.size_of("ann"), 0U);
}

TEST(FairQueueTest, EqualCostsTakeTurns) {
  FairQueue<int> queue;
  for (int i = 0; i < 3; ++i)
    queue.push("ann", FairQueue<int>::kQuantumTokens, i);
  for (int i = 10; i < 13; ++i)
    queue.push("bob", FairQueue<int>::kQuantumTokens, i);
  EXPECT_THAT(drain(queue), ElementsAre(0, 10, 1, 11, 2, 12));
}

TEST(FairQueueTest, TokensAreSharedNotRequests) {
  FairQueue<int> queue;
  for (int i = 0; i < 3; ++i)
    queue.push("long", 10 * FairQueue<int>::kQuantumTokens, i);
  for (int i = 10; i < 40; ++i)
    queue.push("short", FairQueue<int>::kQuantumTokens, i);
  const std::vector<int> order = drain(queue);
  // By the time the long agent has had two requests, the short one has had about twenty.
  const auto second = std::ranges::find(order, 1) - order.begin();
  EXPECT_GE(second, 18);
  EXPECT_LE(second, 22);
}

TEST(FairQueueTest, AnAgentThatMayNotRunIsPassedOver) {
  FairQueue<int> queue;
  queue.push("ann", 1, 1);
  queue.push("bob", 1, 2);
  const auto not_ann = [](const std::string& agent) { return agent != "ann"; };
  EXPECT_EQ(queue.pop(not_ann), 2);
  EXPECT_EQ(queue.pop(not_ann), std::nullopt);
  EXPECT_EQ(queue.pop(anybody), 1);
}

TEST(FairQueueTest, RemovesFromTheMiddle) {
  FairQueue<int> queue;
  queue.push("ann", 1, 1);
  queue.push("ann", 1, 2);
  EXPECT_FALSE(queue.remove("bob", 1));
  EXPECT_TRUE(queue.remove("ann", 1));
  EXPECT_FALSE(queue.remove("ann", 1));
  EXPECT_THAT(drain(queue), ElementsAre(2));
}

TEST(FairQueueTest, NothingIsSavedUpWhileIdle) {
  FairQueue<int> queue;
  queue.push("ann", 1, 1);  // earns a quantum and spends one token
  EXPECT_EQ(queue.pop(anybody), 1);
  queue.push("bob", FairQueue<int>::kQuantumTokens, 2);
  queue.push("ann", FairQueue<int>::kQuantumTokens, 3);
  EXPECT_THAT(drain(queue), ElementsAre(2, 3));
}

}  // namespace
}  // namespace symbiont
