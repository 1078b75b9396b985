#include "worker/pooling.h"

#include <array>

#include <gtest/gtest.h>

namespace symbiont::worker {
namespace {

constexpr std::array<float, 2> kEast = {3.0F, 0.0F};
constexpr std::array<float, 2> kNorth = {0.0F, 4.0F};

TEST(VectorPool, TheMeanHasLengthOne) {
  VectorPool pool;
  pool.add(kEast, Pooling::Mean);
  pool.add(kNorth, Pooling::Mean);
  EXPECT_EQ(pool.take(), (std::vector<float>{0.6F, 0.8F}));
  pool.add(kNorth, Pooling::Mean);
  EXPECT_EQ(pool.take(), (std::vector<float>{0.0F, 1.0F})) << "the text before is forgotten";
}

TEST(VectorPool, TheFirstOrTheLastAlone) {
  VectorPool pool;
  pool.add(kEast, Pooling::First);
  pool.add(kNorth, Pooling::First);
  EXPECT_EQ(pool.take(), (std::vector<float>{1.0F, 0.0F}));
  pool.add(kEast, Pooling::Last);
  pool.add(kNorth, Pooling::Last);
  EXPECT_EQ(pool.take(), (std::vector<float>{0.0F, 1.0F}));
}

TEST(VectorPool, NothingHasNoDirection) {
  VectorPool pool;
  pool.add(std::array<float, 2>{}, Pooling::Mean);
  EXPECT_EQ(pool.take(), (std::vector<float>{0.0F, 0.0F}));
}

}  // namespace
}  // namespace symbiont::worker
