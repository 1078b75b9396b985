#include "worker/slots.h"

#include <vector>

#include <gtest/gtest.h>

namespace symbiont::worker {
namespace {

using Tokens = std::vector<TokenId>;

/// Takes a sequence for `prompt`, lets it hold the prompt and `answer`, and gives it back.
Slots::Choice run(Slots& slots, std::uint64_t key, const Tokens& prompt, const Tokens& answer) {
  const auto choice = slots.take(key, prompt);
  EXPECT_TRUE(choice.has_value());
  Tokens all = prompt;
  all.insert(all.end(), answer.begin(), answer.end());
  slots.held(choice->sequence) = all;
  slots.release(choice->sequence);
  return *choice;
}

TEST(Slots, TheNextTurnOfAConversationKeepsWhatIsThere) {
  Slots slots(2);
  const auto first = run(slots, 7, {1, 2, 3}, {4, 5});
  const auto next = slots.take(7, Tokens{1, 2, 3, 4, 5, 6, 7});
  ASSERT_TRUE(next.has_value());
  EXPECT_EQ(next->sequence, first.sequence);
  EXPECT_EQ(next->kept, 5U);
  EXPECT_FALSE(next->shared_from.has_value());
}

TEST(Slots, OneTokenOfAKnownPromptIsStillDecoded) {
  Slots slots(1);
  run(slots, 7, {1, 2, 3}, {});
  EXPECT_EQ(slots.take(7, Tokens{1, 2, 3})->kept, 2U);
}

TEST(Slots, AnotherKeySeesNothing) {
  Slots slots(2);
  run(slots, 7, {1, 2, 3}, {4});
  const auto other = slots.take(8, Tokens{1, 2, 3, 4, 5});
  ASSERT_TRUE(other.has_value());
  EXPECT_EQ(other->kept, 0U);
  EXPECT_FALSE(other->shared_from.has_value());
}

TEST(Slots, AnotherConversationSharesTheBeginningAndLeavesTheFirstWhole) {
  Slots slots(3);
  const auto first = run(slots, 7, {1, 2, 3}, {4, 5, 6, 7});
  const auto other = slots.take(7, Tokens{1, 2, 9, 9});
  ASSERT_TRUE(other.has_value());
  EXPECT_NE(other->sequence, first.sequence);
  EXPECT_EQ(other->shared_from, first.sequence);
  EXPECT_EQ(other->kept, 2U);
}

TEST(Slots, ABusySequenceSharesItsBeginningToo) {
  Slots slots(2);
  const auto first = slots.take(7, Tokens{1, 2, 3});
  slots.held(first->sequence) = {1, 2, 3};
  const auto second = slots.take(7, Tokens{1, 2, 3});
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->shared_from, first->sequence);
  EXPECT_EQ(second->kept, 2U);
  EXPECT_FALSE(slots.take(7, Tokens{1}).has_value()) << "all are busy";
}

TEST(Slots, WithoutAnEmptyOneTheLongestUnusedMakesRoom) {
  Slots slots(2);
  const auto oldest = run(slots, 1, {1}, {});
  run(slots, 2, {2}, {});
  const auto third = slots.take(3, Tokens{3});
  ASSERT_TRUE(third.has_value());
  EXPECT_EQ(third->sequence, oldest.sequence);
  EXPECT_EQ(third->kept, 0U);
}

TEST(Slots, CountsWhatIsHeldAndNamesTheOldestCache) {
  Slots slots(3);
  EXPECT_FALSE(slots.oldest_cached().has_value());
  const auto first = run(slots, 1, {1, 1}, {1});
  run(slots, 2, {2}, {});
  EXPECT_EQ(slots.used(), 4U);
  EXPECT_EQ(slots.oldest_cached(), first.sequence);
}

}  // namespace
}  // namespace symbiont::worker
