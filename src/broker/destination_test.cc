#include "broker/destination.h"

#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace symbiont::broker {
namespace {

using testing::HasSubstr;
using enum NetworkProtocol;

Destinations list_of(std::vector<NetworkDestination> destinations,
                     bool require_encryption = false) {
  NetworkPolicy policy{.access_mode = NetworkAccessMode::Restricted,
                       .allowed_destinations = std::move(destinations)};
  auto list = Destinations::build(policy, require_encryption);
  EXPECT_TRUE(list.has_value());
  return *std::move(list);
}

Host host(const char* text) {
  return parse_host(text).value();
}

Address address(const char* text) {
  return Address::parse(text).value();
}

TEST(ParseHostTest, NormalForms) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"Example.COM", "example.com"},
      {"example.com.", "example.com"},
      {"localhost", "localhost"},
      {"xn--bcher-kva.example", "xn--bcher-kva.example"},
      {"_dmarc.a-b.c", "_dmarc.a-b.c"},
      {"1.2.3.4", "1.2.3.4"},
      {"2001:DB8:0::1", "2001:db8::1"},
      {"4chan.0x.org", "4chan.0x.org"},
      {std::string(63, 'a') + ".b", std::string(63, 'a') + ".b"}};
  for (const auto& [text, normal] : cases) {
    const auto parsed = parse_host(text);
    ASSERT_TRUE(parsed.has_value()) << text;
    EXPECT_EQ(parsed->text, normal);
    EXPECT_EQ(parsed->address.has_value(), Address::parse(text).has_value());
  }
}

TEST(ParseHostTest, RefusedWithAReason) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"2130706433", "unusual spelling"},
      {"0x7f000001", "unusual spelling"},
      {"0x7f.1", "unusual spelling"},
      {"0X7F.0x1", "unusual spelling"},
      {"0177.0.0.1", "unusual spelling"},
      {"127.1", "unusual spelling"},
      {"127.0.0.1.", "unusual spelling"},
      {"127.0.0.1.5", "unusual spelling"},
      {"example.0x", "unusual spelling"},
      {"999.999.999.999", "unusual spelling"},
      {"fe80::1%eth0", "zones"},
      {"::1%25lo", "zones"},
      {"b\xc3\xbc"
       "cher.example",
       "xn--"},
      {"", "1 to 253"},
      {".", "1 to 253"},
      {std::string(254, 'a'), "1 to 253"},
      {std::string(64, 'a') + ".b", "more than 63"},
      {"a..b", "empty label"},
      {".a", "empty label"},
      {"a.com..", "empty label"},
      {"-a.com", "not a host name"},
      {"a-.com", "not a host name"},
      {"*.example.com", "not a host name"},
      {"a b.com", "not a host name"},
      {std::string("a\0b.com", 7), "not a host name"},
  };
  for (const auto& [text, reason] : cases) {
    const auto parsed = parse_host(text);
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_EQ(parsed.error().code(), ErrorCode::InvalidArgument);
    EXPECT_THAT(parsed.error().message(), HasSubstr(reason)) << text;
  }
}

TEST(ParseAuthorityTest, HostAndPort) {
  const auto plain = parse_authority("example.com:8443", std::nullopt);
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->host, "example.com");
  EXPECT_EQ(plain->port, 8443);
  const auto v6 = parse_authority("[::1]:65535", std::nullopt);
  ASSERT_TRUE(v6.has_value());
  EXPECT_EQ(v6->host, "::1");
  EXPECT_EQ(v6->port, 65535);
  EXPECT_EQ(parse_authority("example.com", 80)->port, 80);
  EXPECT_EQ(parse_authority("[::1]", 80)->port, 80);
}

TEST(ParseAuthorityTest, AnythingElseIsRefused) {
  for (const char* text :
       {"", "example.com", ":80", "example.com:", "example.com:0", "example.com:080",
        "example.com:65536", "example.com:+80", "example.com:8 0", "user@example.com:80", "::1:80",
        "[::1]", "[::1", "[::1]80", "[example.com]:80", "a:80:80"}) {
    EXPECT_FALSE(parse_authority(text, std::nullopt).has_value()) << text;
  }
}

TEST(DestinationsTest, EmptyListDeniesAll) {
  const auto ruling = list_of({}).judge(host("example.com"), 443, Carrier::Tunnel);
  EXPECT_FALSE(ruling.allowed);
  EXPECT_EQ(ruling.reason, "example.com:443 is not in allowed_destinations");
}

struct JudgeCase {
  const char* host;
  std::uint16_t port;
  Carrier carrier;
  bool allowed;
  NetworkProtocol protocol;
  const char* reason;
};

void expect_rulings(const Destinations& list, const std::vector<JudgeCase>& cases) {
  for (const auto& c : cases) {
    const auto ruling = list.judge(host(c.host), c.port, c.carrier);
    EXPECT_EQ(ruling.allowed, c.allowed) << c.host << ":" << c.port;
    EXPECT_EQ(ruling.protocol, c.protocol) << c.host << ":" << c.port;
    EXPECT_THAT(ruling.reason, HasSubstr(c.reason)) << c.host << ":" << c.port;
    EXPECT_EQ(ruling.reason.empty(), c.allowed);
  }
}

TEST(DestinationsTest, ExactHostPortAndProtocol) {
  const auto list = list_of({{.host = "API.Example.com.", .port = 443, .protocol = HTTPS},
                             {.host = "plain.example", .port = 80, .protocol = HTTP},
                             {.host = "db.example", .port = 5432, .protocol = TCP},
                             {.host = "dns.example", .port = 53, .protocol = UDP},
                             {.host = "10.0.0.5", .port = 443, .protocol = TCP},
                             {.host = "fd00::5", .port = 443, .protocol = HTTPS}});
  using enum Carrier;
  expect_rulings(
      list,
      {{"api.example.com", 443, Tunnel, true, HTTPS, ""},
       {"api.example.com", 444, Tunnel, false, TCP, "not in allowed_destinations"},
       {"example.com", 443, Tunnel, false, TCP, "not in allowed_destinations"},
       {"x.api.example.com", 443, Tunnel, false, TCP, "not in allowed_destinations"},
       {"api.example.com", 443, PlainRequest, false, HTTP, "listed for HTTPS only"},
       {"plain.example", 80, PlainRequest, true, HTTP, ""},
       {"plain.example", 80, Tunnel, false, TCP, "listed for HTTP only, not for a tunnel"},
       {"db.example", 5432, Tunnel, true, TCP, ""},
       {"dns.example", 53, Tunnel, false, TCP, "listed for UDP, which this proxy cannot carry"},
       {"dns.example", 53, Datagram, false, UDP, "listed for UDP, which this proxy cannot carry"},
       {"db.example", 5432, Datagram, false, UDP, "listed for TCP only, not for UDP"},
       {"10.0.0.5", 443, Tunnel, true, TCP, ""},
       {"::ffff:10.0.0.5", 443, Tunnel, false, TCP, "[::ffff:10.0.0.5]:443 is not in"},
       {"FD00:0:0::5", 443, Tunnel, true, HTTPS, ""},
       {"10.0.0.6", 443, Tunnel, false, TCP, "not in allowed_destinations"}});
}

TEST(DestinationsTest, OneDestinationListedForTwoProtocols) {
  const auto list = list_of({{.host = "a.example", .port = 443, .protocol = HTTP},
                             {.host = "a.example", .port = 443, .protocol = HTTPS}});
  expect_rulings(list, {{"a.example", 443, Carrier::Tunnel, true, HTTPS, ""},
                        {"a.example", 443, Carrier::PlainRequest, true, HTTP, ""}});
}

TEST(DestinationsTest, RequireEncryptionLeavesOnlyHttps) {
  const auto list = list_of({{.host = "a.example", .port = 443, .protocol = HTTPS},
                             {.host = "b.example", .port = 5432, .protocol = TCP},
                             {.host = "c.example", .port = 80, .protocol = HTTP},
                             {.host = "d.example", .port = 443, .protocol = TCP},
                             {.host = "d.example", .port = 443, .protocol = HTTPS}},
                            true);
  expect_rulings(list,
                 {{"a.example", 443, Carrier::Tunnel, true, HTTPS, ""},
                  {"b.example", 5432, Carrier::Tunnel, false, TCP, "require_encryption: TCP to"},
                  {"c.example", 80, Carrier::PlainRequest, false, HTTP, "require_encryption: HTTP"},
                  {"d.example", 443, Carrier::Tunnel, true, HTTPS, ""}});
}

TEST(DestinationsTest, AListThatCannotBeMeantIsRefused) {
  for (const auto& bad : std::vector<NetworkDestination>{{.host = "*.example.com"},
                                                         {.host = "0x7f.1"},
                                                         {.host = ""},
                                                         {.host = "a.example", .port = 0}}) {
    const NetworkPolicy policy{.access_mode = NetworkAccessMode::Restricted,
                               .allowed_destinations = {bad}};
    const auto list = Destinations::build(policy, false);
    ASSERT_FALSE(list.has_value()) << bad.host;
    EXPECT_THAT(list.error().message(), HasSubstr("allowed_destinations"));
  }
}

TEST(CheckAddressesTest, PublicOnesPassInOrder) {
  const auto list = list_of({{.host = "a.example"}});
  const auto checked = list.check_addresses({address("2606:4700::1"), address("1.1.1.1")},
                                            host("a.example"), 443, Carrier::Tunnel);
  ASSERT_TRUE(checked.has_value());
  EXPECT_THAT(*checked, testing::ElementsAre(address("2606:4700::1"), address("1.1.1.1")));
}

TEST(CheckAddressesTest, OnePrivateAddressRefusesThemAll) {
  const auto list = list_of({{.host = "a.example"}});
  const auto checked = list.check_addresses({address("1.1.1.1"), address("169.254.169.254")},
                                            host("a.example"), 443, Carrier::Tunnel);
  ASSERT_FALSE(checked.has_value());
  EXPECT_EQ(checked.error().code(), ErrorCode::PermissionDenied);
  EXPECT_THAT(checked.error().message(), HasSubstr("169.254.169.254"));
}

TEST(CheckAddressesTest, AListedLiteralMayBePrivateOnItsPort) {
  const auto list = list_of({{.host = "a.example"},
                             {.host = "a.example", .port = 444},
                             {.host = "10.0.0.5", .port = 443}});
  EXPECT_TRUE(list.check_addresses({address("10.0.0.5")}, host("a.example"), 443, Carrier::Tunnel));
  EXPECT_FALSE(
      list.check_addresses({address("10.0.0.5")}, host("a.example"), 444, Carrier::Tunnel));
}

TEST(CheckAddressesTest, AnswersAreBoundedAfterAllWereLookedAt) {
  const auto list = list_of({{.host = "a.example"}});
  std::vector<Address> many(kMaxDnsAnswers + 4, address("1.1.1.1"));
  EXPECT_EQ(list.check_addresses(many, host("a.example"), 443, Carrier::Tunnel)->size(),
            kMaxDnsAnswers);
  many.back() = address("127.0.0.1");
  EXPECT_FALSE(list.check_addresses(many, host("a.example"), 443, Carrier::Tunnel).has_value());
  EXPECT_FALSE(list.check_addresses({}, host("a.example"), 443, Carrier::Tunnel).has_value());
}

}  // namespace
}  // namespace symbiont::broker
