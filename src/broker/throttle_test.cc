#include "broker/throttle.h"

#include <gtest/gtest.h>

namespace symbiont::broker {
namespace {

using std::chrono::milliseconds;

constexpr Clock::time_point kStart{std::chrono::hours(1)};
constexpr std::uint64_t kRate = 1'000'000;  // a turn is 5000 bytes

TEST(ThrottleTest, WithoutALimitNobodyWaits) {
  Throttle throttle(0, kStart);
  throttle.spend(1'000'000'000);
  EXPECT_EQ(throttle.allowance(kStart), SIZE_MAX);
}

TEST(ThrottleTest, ATurnIsGivenWhenItsBytesHaveComeTogether) {
  Throttle throttle(kRate, kStart);
  EXPECT_EQ(throttle.allowance(kStart), 0U);
  EXPECT_EQ(throttle.wait_time(kStart), milliseconds(5));
  EXPECT_EQ(throttle.allowance(kStart + milliseconds(5)), 5000U);
  EXPECT_EQ(throttle.allowance(kStart + milliseconds(50)), 5000U);  // and never more at once
  throttle.spend(50'000);
  EXPECT_EQ(throttle.allowance(kStart + milliseconds(50)), 0U);
}

TEST(ThrottleTest, NobodyOvertakesTheLine) {
  Throttle throttle(kRate, kStart);
  throttle.wait_in_line(7);
  throttle.wait_in_line(8);
  EXPECT_FALSE(throttle.begin_turn(kStart).has_value());
  const auto later = kStart + milliseconds(20);
  EXPECT_EQ(throttle.allowance(later), 0U);
  for (const std::uint64_t id : {7U, 8U}) {
    EXPECT_EQ(throttle.begin_turn(later), id);
    EXPECT_EQ(throttle.allowance(later), 5000U);
    throttle.spend(5000);
    throttle.end_turn();
  }
  EXPECT_FALSE(throttle.is_anyone_waiting());
  EXPECT_FALSE(throttle.begin_turn(later).has_value());
  EXPECT_EQ(throttle.allowance(later), 5000U);
}

}  // namespace
}  // namespace symbiont::broker
