#include "broker/address.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace symbiont::broker {
namespace {

using testing::IsEmpty;

TEST(AddressTest, OnlyCanonicalSpellingsAreAddresses) {
  for (const char* text : {"127.0.0.1", "8.8.8.8", "::1", "2001:db8::1", "::ffff:127.0.0.1"}) {
    const auto address = Address::parse(text);
    ASSERT_TRUE(address.has_value()) << text;
    EXPECT_EQ(address->text(), text);
  }
  for (const char* text :
       {"", "2130706433", "0x7f.1", "127.1", "0177.0.0.1", "127.0.0.01", "127.0.0.1.", " 127.0.0.1",
        "[::1]", "fe80::1%eth0", "1.2.3.4.5", "::g"}) {
    EXPECT_FALSE(Address::parse(text).has_value()) << text;
  }
  EXPECT_FALSE(Address::parse(std::string_view("::1\0", 4)).has_value());
}

TEST(AddressTest, SpellingsOfOneIpv6AddressAreEqual) {
  EXPECT_EQ(Address::parse("2001:DB8:0:0:0:0:0:1"), Address::parse("2001:db8::1"));
  EXPECT_NE(Address::parse("::ffff:1.2.3.4"), Address::parse("1.2.3.4"));
}

TEST(AddressTest, PublicAddresses) {
  for (const char* text :
       {"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0",
        "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
        "2606:4700::1111", "2a00:1450::1", "64:ff9b::8.8.8.8", "2002:808:808::1"}) {
    EXPECT_THAT(std::string(Address::parse(text).value().special_use()), IsEmpty()) << text;
  }
  // Teredo: server 8.8.8.8, client 8.8.4.4 stored inverted.
  EXPECT_THAT(std::string(Address::parse("2001:0:808:808::f7f7:fbfb").value().special_use()),
              IsEmpty());
}

struct Special {
  const char* text;
  const char* use;
};

class SpecialAddress : public testing::TestWithParam<Special> {};

TEST_P(SpecialAddress, IsNotPublic) {
  const auto address = Address::parse(GetParam().text);
  ASSERT_TRUE(address.has_value());
  EXPECT_EQ(address->special_use(), GetParam().use);
}

constexpr const char* kDisguise = "an IPv4 address in disguise";

INSTANTIATE_TEST_SUITE_P(V4,
                         SpecialAddress,
                         testing::Values(Special{"0.0.0.0", "unspecified or this network"},
                                         Special{"0.1.2.3", "unspecified or this network"},
                                         Special{"10.255.0.1", "private"},
                                         Special{"100.64.0.1", "shared by a carrier (CGNAT)"},
                                         Special{"100.127.255.255", "shared by a carrier (CGNAT)"},
                                         Special{"127.0.0.1", "loopback"},
                                         Special{"127.255.255.254", "loopback"},
                                         Special{"169.254.169.254", "link-local"},
                                         Special{"172.16.0.1", "private"},
                                         Special{"172.31.255.255", "private"},
                                         Special{"192.0.2.1", "documentation"},
                                         Special{"192.0.0.8", "protocol assignments"},
                                         Special{"192.88.99.1", "6to4 relay"},
                                         Special{"192.168.0.1", "private"},
                                         Special{"198.18.0.1", "benchmarks"},
                                         Special{"198.19.255.255", "benchmarks"},
                                         Special{"198.51.100.1", "documentation"},
                                         Special{"203.0.113.1", "documentation"},
                                         Special{"224.0.0.1", "multicast"},
                                         Special{"239.255.255.255", "multicast"},
                                         Special{"240.0.0.1", "reserved"},
                                         Special{"255.255.255.255", "broadcast"}));

INSTANTIATE_TEST_SUITE_P(
    V6,
    SpecialAddress,
    testing::Values(Special{"::", "unspecified"},
                    Special{"::1", "loopback"},
                    Special{"::7f00:1", kDisguise},
                    Special{"::ffff:8.8.8.8", kDisguise},
                    Special{"::ffff:127.0.0.1", kDisguise},
                    Special{"fc00::1", "private (unique local)"},
                    Special{"fd12::1", "private (unique local)"},
                    Special{"fe80::1", "link-local"},
                    Special{"febf::1", "link-local"},
                    Special{"fec0::1", "site-local"},
                    Special{"ff02::1", "multicast"},
                    Special{"2001:db8::1", "documentation"},
                    Special{"3fff::1", "documentation"},
                    Special{"64:ff9b::10.0.0.1", "private"},
                    Special{"64:ff9b:1::1", "not global unicast"},
                    Special{"2002:7f00:1::1", "loopback"},
                    Special{"2002:a9fe:a9fe::", "link-local"},
                    Special{"2001:0:a00:1::f7f7:fbfb", "private"},     // Teredo server 10.0.0.1
                    Special{"2001:0:808:808::80ff:fffe", "loopback"},  // Teredo client 127.0.0.1
                    Special{"2001:2::1", "protocol assignments"},
                    Special{"100::1", "not global unicast"},
                    Special{"4000::1", "not global unicast"}));

}  // namespace
}  // namespace symbiont::broker
