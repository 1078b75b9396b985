#include "broker/broker.h"

#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "broker/broker_for_test.h"

namespace symbiont::broker {
namespace {

using loopback::Peer;
using loopback::Server;
using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using enum NetworkProtocol;

// Answers only when it has heard everything: works only if both ends of the stream are passed on.
void answer_at_the_end(const Peer& peer) {
  (void)peer.say("heard " + peer.hear_all());
}

nlohmann::json error_in(const std::string& response) {
  return nlohmann::json::parse(response.substr(response.find("\r\n\r\n") + 4)).at("error");
}

TEST_F(BrokerTest, ATunnelCarriesBothWaysAndPassesHalfCloseOn) {
  const Server server(answer_at_the_end);
  start({{.host = "127.0.0.1", .port = server.port(), .protocol = TCP}});
  const auto peer = tunnel(server.port());
  ASSERT_TRUE(peer.say("hello"));
  peer.end();
  EXPECT_EQ(peer.hear_all(), "heard hello");

  const auto decision = only_decision();
  EXPECT_TRUE(decision.allowed);
  EXPECT_EQ(decision.host, "127.0.0.1");
  EXPECT_EQ(decision.port, server.port());
  EXPECT_EQ(decision.protocol, TCP);
  EXPECT_EQ(decision.address, "127.0.0.1");
  EXPECT_EQ(decision.reason, "");
  const auto report = report_after(11);
  EXPECT_EQ(report.bytes_out, 5U);
  EXPECT_EQ(report.bytes_in, 11U);
}

TEST_F(BrokerTest, MegabytesArriveUnchanged) {
  const Server server([](const Peer& peer) { (void)peer.say(peer.hear_all()); });
  start({{.host = "127.0.0.1", .port = server.port(), .protocol = HTTPS}});
  std::string bytes(8 * 1024 * 1024, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<char>(i * 2654435761U >> 13U);
  const auto peer = tunnel(server.port());
  ASSERT_TRUE(peer.say(bytes));
  peer.end();
  EXPECT_TRUE(peer.hear_all() == bytes);
}

TEST_F(BrokerTest, EarlyBytesReachTheServer) {
  const Server server(answer_at_the_end);
  start({{.host = "127.0.0.1", .port = server.port(), .protocol = TCP}});
  const auto peer = client();
  ASSERT_TRUE(peer.say(connect_request("127.0.0.1", server.port()) + "early"));
  peer.end();
  EXPECT_THAT(peer.hear_all(), testing::EndsWith("\r\n\r\nheard early"));
}

TEST_F(BrokerTest, APlainRequestIsForwardedOnceAndAlone) {
  std::string seen;
  auto server = std::make_unique<Server>([&](const Peer& peer) {
    seen = peer.hear_until("\r\n\r\n");
    seen += peer.hear(5);
    (void)peer.say("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfine");
    peer.end();
    seen += peer.hear_all();
  });
  const auto port = server->port();
  start({{.host = "127.0.0.1", .port = port, .protocol = HTTP}});
  const auto request = fmt::format(
      "POST http://127.0.0.1:{}/x HTTP/1.1\r\nHost: b.example\r\nProxy-Connection: keep-alive\r\n"
      "Content-Length: 5\r\n\r\nhello",
      port);
  EXPECT_EQ(answer_to(request + "GET http://b.example/ HTTP/1.1\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfine");
  const auto decision = only_decision();
  EXPECT_TRUE(decision.allowed);
  EXPECT_EQ(decision.protocol, HTTP);
  broker_.reset();
  server.reset();
  EXPECT_EQ(seen, fmt::format("POST /x HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: 5\r\n"
                              "Connection: close\r\n\r\nhello",
                              port));
}

TEST_F(BrokerTest, AChunkedBodyIsForwarded) {
  const std::string body = "5\r\nhello\r\n0\r\n\r\n";
  const Server server([&](const Peer& peer) {
    (void)peer.hear_until("\r\n\r\n");
    (void)peer.say("HTTP/1.1 200 OK\r\n\r\n" + peer.hear(body.size()));
  });
  start({{.host = "127.0.0.1", .port = server.port(), .protocol = HTTP}});
  const auto peer = client();
  ASSERT_TRUE(peer.say(fmt::format(
      "POST http://127.0.0.1:{}/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", server.port())));
  for (const char c : body)
    ASSERT_TRUE(peer.say(std::string(1, c)));
  EXPECT_EQ(peer.hear_all(), "HTTP/1.1 200 OK\r\n\r\n" + body);
}

TEST_F(BrokerTest, Socks5ByNameAByteAtATime) {
  const Server server(answer_at_the_end);
  start({{.host = "a.example", .port = server.port(), .protocol = TCP},
         {.host = "127.0.0.1", .port = server.port(), .protocol = TCP}},
        {.resolver = resolver({{address("127.0.0.1")}})});
  std::string request("\x05\x01\x00\x05\x01\x00\x03\x09", 8);
  request += "a.example";
  request += static_cast<char>(server.port() >> 8U);
  request += static_cast<char>(server.port() & 0xffU);
  const auto peer = client();
  for (const char c : request + "hello")
    ASSERT_TRUE(peer.say(std::string(1, c)));
  peer.end();
  EXPECT_EQ(peer.hear_all(),
            std::string("\x05\x00\x05\x00\x00\x01\0\0\0\0\0\0", 12) + "heard hello");
  EXPECT_EQ(only_decision().host, "a.example");
  EXPECT_THAT(log_->names(), ElementsAre("a.example"));
}

TEST_F(BrokerTest, ADenialSaysWhatAndWhyAndAsksNoResolver) {
  start({{.host = "a.example", .port = 443, .protocol = HTTPS}});
  const auto response = answer_to(connect_request("b.example", 443));
  EXPECT_THAT(response, StartsWith("HTTP/1.1 403 Forbidden\r\n"));
  const auto error = error_in(response);
  EXPECT_EQ(error.at("host"), "b.example");
  EXPECT_EQ(error.at("port"), 443);
  EXPECT_EQ(error.at("reason"), "b.example:443 is not in allowed_destinations");
  EXPECT_THAT(log_->names(), IsEmpty());

  const auto decision = only_decision();
  EXPECT_FALSE(decision.allowed);
  EXPECT_EQ(decision.reason, "b.example:443 is not in allowed_destinations");
  EXPECT_EQ(decision.address, "");
  EXPECT_EQ(broker_->report().denied, 1U);
  EXPECT_EQ(broker_->report().bytes_in, 0U);
}

TEST_F(BrokerTest, AnEmptyListDeniesEverything) {
  const Server server(echo);
  start({});
  EXPECT_THAT(answer_to(connect_request("127.0.0.1", server.port())), StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(answer_to("GET http://a.example/ HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 403 "));
  EXPECT_EQ(answer_to(std::string("\x05\x01\x00\x05\x01\x00\x01\x01\x01\x01\x01\x00\x50", 13)),
            std::string("\x05\x00\x05\x02\x00\x01\0\0\0\0\0\0", 12));
  EXPECT_EQ(broker_->report().denied, 3U);
}

TEST_F(BrokerTest, AnOddSpellingOfAnAddressIsDenied) {
  start({{.host = "127.0.0.1", .port = 80, .protocol = TCP}});
  EXPECT_THAT(answer_to(connect_request("2130706433", 80)), HasSubstr("unusual spelling"));
  EXPECT_THAT(answer_to(connect_request("[::ffff:127.0.0.1]", 80)), HasSubstr("not in allowed"));
  EXPECT_EQ(broker_->report().denied, 2U);
}

TEST_F(BrokerTest, AUdpDestinationIsDeniedWithTheReason) {
  start({{.host = "1.1.1.1", .port = 53, .protocol = UDP}});
  EXPECT_EQ(answer_to(std::string("\x05\x01\x00\x05\x03\x00\x01\x01\x01\x01\x01\x00\x35", 13)),
            std::string("\x05\x00\x05\x07\x00\x01\0\0\0\0\0\0", 12));
  const auto decision = only_decision();
  EXPECT_EQ(decision.protocol, UDP);
  EXPECT_THAT(decision.reason, HasSubstr("UDP, which this proxy cannot carry"));
}

TEST_F(BrokerTest, ANameIsResolvedOnceAndTheCheckedAddressIsUsed) {
  const Server server(answer_at_the_end);
  start({{.host = "a.example", .port = server.port(), .protocol = TCP},
         {.host = "127.0.0.1", .port = server.port(), .protocol = TCP}},
        {.resolver = resolver({{address("127.0.0.1")}, {address("10.0.0.1")}})});
  const auto peer = client();
  ASSERT_TRUE(peer.say(connect_request("a.example", server.port())));
  EXPECT_THAT(peer.hear_until("\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(log_->names(), ElementsAre("a.example"));
  EXPECT_EQ(only_decision().address, "127.0.0.1");
  // The name now points elsewhere: the next connection is checked anew.
  EXPECT_THAT(answer_to(connect_request("a.example", server.port())), HasSubstr("10.0.0.1"));
  EXPECT_EQ(broker_->report().denied, 1U);
}

TEST_F(BrokerTest, ANameWithOnePrivateAddressIsRefused) {
  const Server server(echo);
  start({{.host = "a.example", .port = server.port(), .protocol = TCP}},
        {.resolver = resolver({{address("8.8.8.8"), address("127.0.0.1")}})});
  const auto response = answer_to(connect_request("a.example", server.port()));
  EXPECT_THAT(response, StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(only_decision().reason, HasSubstr("127.0.0.1, which is not public (loopback)"));
}

TEST_F(BrokerTest, TheNextAddressIsTriedWhenOneDoesNotConnect) {
  const Server server(answer_at_the_end);
  start({{.host = "a.example", .port = server.port(), .protocol = TCP},
         {.host = "127.0.0.2", .port = server.port(), .protocol = TCP},
         {.host = "127.0.0.1", .port = server.port(), .protocol = TCP}},
        {.resolver = resolver({{address("127.0.0.2"), address("127.0.0.1")}})});
  const auto peer = client();
  ASSERT_TRUE(peer.say(connect_request("a.example", server.port())));
  EXPECT_THAT(peer.hear_until("\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(only_decision().address, "127.0.0.1");
}

TEST_F(BrokerTest, NoAddressAndNoServerAre502) {
  const auto closed_port = loopback::listen_here().port;
  start({{.host = "a.example", .port = 443, .protocol = HTTPS},
         {.host = "127.0.0.1", .port = closed_port, .protocol = TCP}});
  EXPECT_THAT(answer_to(connect_request("a.example", 443)), StartsWith("HTTP/1.1 502 "));
  EXPECT_THAT(answer_to(connect_request("127.0.0.1", closed_port)), HasSubstr("refused"));
  const auto report = broker_->report();
  EXPECT_EQ(report.allowed, 2U);
  EXPECT_THAT(report.decisions.at(0).reason, HasSubstr("no such name"));
}

TEST_F(BrokerTest, RequireEncryptionLetsTlsThroughAndNothingElse) {
  const std::string hello("\x16\x03\x01\x00\x05\x01hello", 11);
  std::vector<std::string> heard;
  {
    const Server server([&](const Peer& peer) {
      heard.push_back(peer.hear_all());
      (void)peer.say("bye");
    });
    start({{.host = "127.0.0.1", .port = server.port(), .protocol = HTTPS}},
          {.require_encryption = true});
    const auto plain = tunnel(server.port());
    ASSERT_TRUE(plain.say("GET / HTTP/1.1\r\n\r\n"));
    EXPECT_EQ(plain.hear_all(), "");
    EXPECT_EQ(only_decision().reason, "not TLS");
    EXPECT_FALSE(only_decision().allowed);

    const auto secure = tunnel(server.port());
    ASSERT_TRUE(secure.say(hello.substr(0, 3)) && secure.say(hello.substr(3)));
    secure.end();
    EXPECT_EQ(secure.hear_all(), "bye");
    EXPECT_TRUE(broker_->report().decisions.at(1).allowed);

    // In one piece with the request there is still time for an answer.
    EXPECT_THAT(answer_to(connect_request("127.0.0.1", server.port()) + "SSH-2.0"),
                HasSubstr("not TLS"));
    broker_.reset();
  }
  EXPECT_THAT(heard, testing::Each(AnyOf("", hello)));
}

TEST_F(BrokerTest, GarbageIsAnswered400AndTheNextClientIsServed) {
  const Server server(answer_at_the_end);
  start({{.host = "127.0.0.1", .port = server.port(), .protocol = TCP}});
  for (const auto& garbage :
       std::vector<std::string>{std::string("\x16\x03\x01"), std::string(64 * 1024, 'A'),
                                std::string("GET / HTTP/1.1\n\n"), std::string(5, '\0')}) {
    EXPECT_THAT(answer_to(garbage), StartsWith("HTTP/1.1 400 Bad Request\r\n"));
  }
  EXPECT_EQ(broker_->report().decisions.size(), 0U);
  const auto peer = tunnel(server.port());
  peer.end();
  EXPECT_EQ(peer.hear_all(), "heard ");
}

TEST_F(BrokerTest, AResetIsPassedOn) {
  const Server server([](const Peer& peer) {
    (void)peer.hear(1);
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    setsockopt(peer.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  });
  start({{.host = "127.0.0.1", .port = server.port(), .protocol = TCP}});
  const auto peer = tunnel(server.port());
  ASSERT_TRUE(peer.say("x"));
  int how = 0;
  EXPECT_EQ(peer.hear_all(&how), "");
  EXPECT_EQ(how, ECONNRESET);
}

TEST_F(BrokerTest, OnlyAListeningSocketAndARestrictedPolicyStart) {
  NetworkPolicy policy{.access_mode = NetworkAccessMode::Restricted, .allowed_destinations = {}};
  auto broker = Broker::start(UniqueFd(socket(AF_INET, SOCK_STREAM, 0)), policy, false);
  ASSERT_FALSE(broker.has_value());
  EXPECT_EQ(broker.error().code(), ErrorCode::InvalidArgument);
  EXPECT_FALSE(Broker::start(UniqueFd(), policy, false).has_value());
  policy.allowed_destinations = {{.host = "*.example"}};
  EXPECT_FALSE(Broker::start(loopback::listen_here().fd, policy, false).has_value());
  for (const auto mode : {NetworkAccessMode::None, NetworkAccessMode::Full}) {
    EXPECT_FALSE(Broker::start(loopback::listen_here().fd,
                               {.access_mode = mode, .allowed_destinations = {}}, false)
                     .has_value());
  }
}

}  // namespace
}  // namespace symbiont::broker
