#include "runners/idle_memory.h"

#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

namespace symbiont {
namespace {

class IdleMemoryTest : public ::testing::Test {
 protected:
  bool works_ = true;
  std::vector<std::uint64_t> set_;
  IdleMemory memory_{[this](std::uint64_t bytes) {
    set_.push_back(bytes);
    return works_;
  }};
};

TEST_F(IdleMemoryTest, HoldsBetweenExecutionsOnly) {
  EXPECT_TRUE(memory_.begin_execution());
  EXPECT_TRUE(memory_.end_execution(100));
  EXPECT_TRUE(memory_.begin_execution());
  EXPECT_TRUE(memory_.end_execution(120));
  EXPECT_EQ(set_, (std::vector<std::uint64_t>{100, 0, 120}));
}

TEST_F(IdleMemoryTest, OfExecutionsSideBySideTheFirstLiftsAndTheLastLowers) {
  EXPECT_TRUE(memory_.begin_execution());
  EXPECT_TRUE(memory_.begin_execution());
  EXPECT_TRUE(memory_.end_execution(100));
  EXPECT_TRUE(memory_.begin_execution());
  EXPECT_TRUE(memory_.end_execution(110));
  EXPECT_TRUE(set_.empty());
  EXPECT_TRUE(memory_.end_execution(120));
  EXPECT_EQ(set_, (std::vector<std::uint64_t>{120}));
}

TEST_F(IdleMemoryTest, WhatIsNotKnownIsNoLimit) {
  EXPECT_TRUE(memory_.begin_execution());
  EXPECT_TRUE(memory_.end_execution(0));
  EXPECT_TRUE(set_.empty());
}

TEST_F(IdleMemoryTest, SaysWhenItCannot) {
  EXPECT_TRUE(memory_.begin_execution());
  works_ = false;
  EXPECT_FALSE(memory_.end_execution(100));
  works_ = true;
  EXPECT_TRUE(memory_.begin_execution()) << "nothing is to be lifted";
  EXPECT_TRUE(memory_.end_execution(100));
  works_ = false;
  EXPECT_FALSE(memory_.begin_execution());
  EXPECT_TRUE(memory_.end_execution(100)) << "it is still held";
}

}  // namespace
}  // namespace symbiont
