#include "broker/handshake.h"

#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace symbiont::broker {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using State = Handshake::State;

const std::string kGreeting("\x05\x01\x00", 3);

std::string socks(char command, const std::string& address, const std::string& port) {
  return std::string("\x05", 1) + command + '\0' + address + port;
}
std::string socks_name(const std::string& name) {
  return '\x03' + std::string(1, static_cast<char>(name.size())) + name;
}
const std::string kPort443("\x01\xbb", 2);

// Feeds byte by byte what has no end of its own.
Result<State> feed_slowly(Handshake& handshake, const std::string& bytes, std::string& reply) {
  std::string input;
  Result<State> state = State::NeedMore;
  for (const char c : bytes) {
    input += c;
    state = handshake.feed(input, reply);
    if (!state.has_value()) return state;
  }
  EXPECT_TRUE(input.empty() || *state == State::NeedMore);
  return state;
}

TEST(HandshakeTest, ConnectAndWhatFollowsStaysInTheInput) {
  Handshake handshake;
  std::string input = "CONNECT a.example:443 HTTP/1.1\r\n\r\n\x16\x03\x01";
  std::string reply;
  EXPECT_EQ(handshake.feed(input, reply).value(), State::Asked);
  EXPECT_EQ(input, "\x16\x03\x01");
  EXPECT_EQ(reply, "");
  EXPECT_EQ(handshake.authority().host, "a.example");
  EXPECT_EQ(handshake.authority().port, 443);
  EXPECT_EQ(handshake.carrier(), Carrier::Tunnel);
  EXPECT_THAT(handshake.success(), StartsWith("HTTP/1.1 200 "));
}

TEST(HandshakeTest, PlainRequest) {
  Handshake handshake;
  std::string reply;
  EXPECT_EQ(feed_slowly(handshake, "GET http://a.example/ HTTP/1.1\r\n\r\n", reply).value(),
            State::Asked);
  EXPECT_EQ(handshake.carrier(), Carrier::PlainRequest);
  EXPECT_EQ(handshake.success(), "");
}

TEST(HandshakeTest, SocksNamesAndAddresses) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {socks_name("a.example"), "a.example"},
      {std::string("\x01\x7f\x00\x00\x01", 5), "127.0.0.1"},
      {'\x04' + std::string(15, '\0') + '\x01', "::1"},
  };
  for (const auto& [address, host] : cases) {
    Handshake handshake;
    std::string reply;
    ASSERT_EQ(feed_slowly(handshake, kGreeting + socks(1, address, kPort443), reply).value(),
              State::Asked);
    EXPECT_EQ(reply, std::string("\x05\x00", 2));
    EXPECT_EQ(handshake.authority().host, host);
    EXPECT_EQ(handshake.authority().port, 443);
    EXPECT_EQ(handshake.carrier(), Carrier::Tunnel);
    EXPECT_EQ(handshake.success(), std::string("\x05\x00\x00\x01\0\0\0\0\0\0", 10));
    EXPECT_EQ(handshake.failure(Failure::Denied, "x")[1], 2);
  }
}

TEST(HandshakeTest, SocksInOnePiece) {
  Handshake handshake;
  std::string input = kGreeting + socks(1, socks_name("a.example"), kPort443) + "early";
  std::string reply;
  EXPECT_EQ(handshake.feed(input, reply).value(), State::Asked);
  EXPECT_EQ(input, "early");
}

TEST(HandshakeTest, SocksUdpAssociateIsAskedForAndNotSupported) {
  Handshake handshake;
  std::string reply;
  EXPECT_EQ(
      feed_slowly(handshake, kGreeting + socks(3, socks_name("a.b"), kPort443), reply).value(),
      State::Asked);
  EXPECT_EQ(handshake.carrier(), Carrier::Datagram);
  EXPECT_EQ(handshake.failure(Failure::Denied, "x")[1], 7);
}

TEST(HandshakeTest, MalformedSocksGetsTheReplyOfTheProtocol) {
  const std::vector<std::pair<std::string, int>> cases = {
      {socks(2, socks_name("a"), kPort443), 7},                 // BIND
      {socks(1, std::string("\x02") + "abcdef", kPort443), 8},  // no such address type
      {std::string("\x04\x01\x00\x03\x01", 5), 1},              // another version
      {std::string("\x05\x01\x01\x03\x01", 5), 1}};             // reserved byte
  for (const auto& [request, code] : cases) {
    Handshake handshake;
    std::string reply;
    EXPECT_FALSE(feed_slowly(handshake, kGreeting + request, reply).has_value());
    EXPECT_EQ(handshake.failure(Failure::Malformed, "x").at(1), code);
  }
}

TEST(HandshakeTest, SocksWithAuthenticationOnlyIsRefusedInTheGreeting) {
  Handshake handshake;
  std::string reply;
  EXPECT_FALSE(feed_slowly(handshake, std::string("\x05\x01\x02", 3), reply).has_value());
  EXPECT_EQ(reply, "\x05\xff");
  EXPECT_EQ(handshake.failure(Failure::Malformed, "x"), "");
}

TEST(HandshakeTest, GarbageIsMalformedHttp) {
  Handshake handshake;
  std::string reply;
  std::string input = "\x16\x03\x01 hello\r\n\r\n";
  EXPECT_FALSE(handshake.feed(input, reply).has_value());
  EXPECT_THAT(handshake.failure(Failure::Malformed, "why"),
              StartsWith("HTTP/1.1 400 Bad Request\r\n"));
}

TEST(HandshakeTest, FailuresNameHostPortAndReason) {
  Handshake handshake;
  std::string reply;
  std::string input = "CONNECT a.example:443 HTTP/1.1\r\n\r\n";
  ASSERT_TRUE(handshake.feed(input, reply).has_value());
  for (const auto& [failure, status] :
       std::vector<std::pair<Failure, std::string>>{{Failure::Denied, "403 "},
                                                    {Failure::Unreachable, "502 "},
                                                    {Failure::TimedOut, "504 "}}) {
    const auto text = handshake.failure(failure, "because \"x\" \xff");
    EXPECT_THAT(text, StartsWith("HTTP/1.1 " + status));
    const auto body = text.substr(text.find("\r\n\r\n") + 4);
    EXPECT_THAT(text, HasSubstr("Content-Length: " + std::to_string(body.size()) + "\r\n"));
    const auto json = nlohmann::json::parse(body);
    EXPECT_EQ(json.at("error").at("host"), "a.example");
    EXPECT_EQ(json.at("error").at("port"), 443);
    EXPECT_THAT(json.at("error").at("reason").get<std::string>(), StartsWith("because \"x\""));
  }
}

TEST(HandshakeTest, NothingIsSaidToWhoSaidNothing) {
  EXPECT_EQ(Handshake().failure(Failure::TimedOut, "late"), "");
}

}  // namespace
}  // namespace symbiont::broker
