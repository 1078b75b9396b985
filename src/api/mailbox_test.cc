#include "api/mailbox.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace symbiont::api {
namespace {

TEST(MailboxTest, JoinsTextOfOneChoiceAndWakesOnce) {
  int wakes = 0;
  Mailbox mailbox([&] { ++wakes; });
  EXPECT_TRUE(mailbox.put_text(0, "a"));
  EXPECT_TRUE(mailbox.put_text(0, "b"));
  EXPECT_TRUE(mailbox.put_text(1, "c"));
  mailbox.put_end(0, ExecutionResult{});
  EXPECT_TRUE(mailbox.put_text(1, "d"));
  EXPECT_EQ(wakes, 1);
  const auto events = mailbox.take();
  ASSERT_EQ(events.size(), 4U);
  EXPECT_EQ(events[0].text, "ab");
  EXPECT_EQ(events[1].text, "c");
  EXPECT_TRUE(events[2].outcome.has_value());
  EXPECT_EQ(events[3].text, "d");
  EXPECT_TRUE(mailbox.take().empty());
  EXPECT_TRUE(mailbox.put_text(0, "e"));
  EXPECT_EQ(wakes, 2);
}

TEST(MailboxTest, IsBounded) {
  Mailbox mailbox([] {});
  EXPECT_TRUE(mailbox.put_text(0, std::string(kMaxWaitingTextBytes, 'x')));
  EXPECT_FALSE(mailbox.put_text(0, "x"));
  (void)mailbox.take();
  EXPECT_TRUE(mailbox.put_text(0, "x"));
}

TEST(MailboxTest, KeepsProbabilitiesWithTheirTextAndBoundsThem) {
  Mailbox mailbox([] {});
  const std::vector<TokenLogprobs> one = {{{"a", -1.0F}, {{"b", -2.0F}}}};
  EXPECT_TRUE(mailbox.put_text(0, {"a", one}));
  EXPECT_TRUE(mailbox.put_text(0, {"b", one}));
  const auto events = mailbox.take();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].logprobs.size(), 2U);
  const std::vector<TokenLogprobs> large = {
      {{std::string(kMaxWaitingLogprobBytes, 'x'), -1.0F}, {}}};
  EXPECT_FALSE(mailbox.put_text(0, {"a", large}));
}

TEST(MailboxTest, ClosedTakesNothing) {
  int wakes = 0;
  Mailbox mailbox([&] { ++wakes; });
  mailbox.close();
  EXPECT_FALSE(mailbox.put_text(0, "x"));
  mailbox.put_end(0, ExecutionResult{});
  EXPECT_EQ(wakes, 0);
  EXPECT_TRUE(mailbox.take().empty());
}

}  // namespace
}  // namespace symbiont::api
