#include "broker/resolver.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace symbiont::broker {
namespace {

TEST(SystemResolverTest, TheHostItselfHasALoopbackAddress) {
  const auto addresses = system_resolver()->resolve("localhost");
  ASSERT_TRUE(addresses.has_value()) << addresses.error().message();
  for (const auto& address : *addresses)
    EXPECT_EQ(address.special_use(), "loopback");
}

}  // namespace
}  // namespace symbiont::broker
