#include "broker/token_bucket.h"

#include <algorithm>
#include <cstdint>

#include <gtest/gtest.h>

namespace symbiont::broker {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr Clock::time_point kStart{hours(1)};
constexpr std::uint64_t kRate = 1'000'000;  // 8 Mbit/s

TEST(TokenBucketTest, StartsEmptyAndFillsAtItsRate) {
  TokenBucket bucket(kRate, kStart);
  EXPECT_EQ(bucket.available(kStart), 0U);
  EXPECT_EQ(bucket.available(kStart + milliseconds(10)), 10'000U);
  EXPECT_EQ(bucket.available(kStart + milliseconds(20)), 20'000U);
}

TEST(TokenBucketTest, BurstIsATenthOfASecondAndAtLeast64KiB) {
  EXPECT_EQ(TokenBucket(100'000'000, kStart).burst(), 10'000'000U);
  EXPECT_EQ(TokenBucket(125'000, kStart).burst(), kMinBurstBytes);
  TokenBucket bucket(kRate, kStart);
  EXPECT_EQ(bucket.available(kStart + hours(100)), bucket.burst());
}

TEST(TokenBucketTest, ALowRateFillsItsBurstAfterALongPause) {
  TokenBucket bucket(1000, kStart);
  EXPECT_EQ(bucket.available(kStart + seconds(60)), 60'000U);
}

TEST(TokenBucketTest, ShortIntervalsAddUpWithoutLoss) {
  TokenBucket bucket(1000, kStart);
  std::uint64_t seen = 0;
  for (int i = 1; i <= 2'000'000; i += 7)
    seen = bucket.available(kStart + nanoseconds(500) * i);
  EXPECT_EQ(seen, 999U);
}

TEST(TokenBucketTest, SpendingMoreThanThereIsMakesADebt) {
  TokenBucket bucket(kRate, kStart);
  bucket.spend(50'000);
  EXPECT_EQ(bucket.available(kStart + milliseconds(50)), 0U);
  EXPECT_EQ(bucket.available(kStart + milliseconds(60)), 10'000U);
}

TEST(TokenBucketTest, WaitIsExact) {
  TokenBucket bucket(kRate, kStart);
  EXPECT_EQ(bucket.wait_for(5000, kStart), milliseconds(5));
  EXPECT_EQ(bucket.wait_for(5000, kStart + milliseconds(2)), milliseconds(3));
  EXPECT_EQ(bucket.wait_for(5000, kStart + milliseconds(5)), Clock::duration::zero());
  bucket.spend(10'000);
  EXPECT_EQ(bucket.wait_for(1, kStart + milliseconds(5)), microseconds(5001));
  EXPECT_LT(bucket.wait_for(UINT64_MAX, kStart), seconds(1));  // no more than the burst can be had
}

TEST(TokenBucketTest, TimeThatRunsBackwardsIsIgnored) {
  TokenBucket bucket(kRate, kStart);
  EXPECT_EQ(bucket.available(kStart - seconds(10)), 0U);
  EXPECT_EQ(bucket.available(kStart + milliseconds(1)), 1000U);
}

TEST(TokenBucketTest, ExtremeRatesDoNotOverflow) {
  TokenBucket fast(UINT64_MAX, kStart);
  EXPECT_EQ(fast.available(kStart + hours(24 * 365)), fast.burst());
  fast.spend(UINT64_MAX);
  EXPECT_EQ(fast.available(kStart + hours(24 * 365)), 0U);
  TokenBucket none(0, kStart);
  EXPECT_EQ(none.available(kStart + seconds(1)), 1U);
}

// A greedy reader that wakes up every few milliseconds, as the loop does.
TEST(TokenBucketTest, TwoSecondsOfGreedStayWithinFivePercent) {
  for (const std::uint64_t rate : {std::uint64_t{1'000'000}, std::uint64_t{10'000'000}}) {
    TokenBucket bucket(rate, kStart);
    std::uint64_t moved = 0;
    for (auto now = kStart; now <= kStart + seconds(2); now += milliseconds(3)) {
      const auto piece = std::min<std::uint64_t>(bucket.available(now), 65'536);
      bucket.spend(piece);
      moved += piece;
    }
    EXPECT_GT(moved, rate * 2 * 95 / 100);
    EXPECT_LT(moved, rate * 2 * 105 / 100);
  }
}

// After a pause the burst is full, and is all that two seconds may exceed the rate by.
TEST(TokenBucketTest, AfterAPauseTwoSecondsExceedTheRateByTheBurstOnly) {
  TokenBucket bucket(kRate, kStart);
  const auto begin = kStart + hours(1);
  std::uint64_t moved = 0;
  for (auto now = begin; now <= begin + seconds(2); now += milliseconds(1)) {
    const auto piece = bucket.available(now);
    bucket.spend(piece);
    moved += piece;
  }
  EXPECT_EQ(moved, 2 * kRate + bucket.burst());
}

}  // namespace
}  // namespace symbiont::broker
