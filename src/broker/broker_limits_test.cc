// What one hostile or unlucky program can cost: times, numbers, memory, descriptors.
#include <fcntl.h>

#include <filesystem>
#include <future>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/broker.h"
#include "broker/broker_for_test.h"
#include "broker/lookups.h"

namespace symbiont::broker {
namespace {

using loopback::Peer;
using loopback::Server;
using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::StartsWith;
using enum NetworkProtocol;

std::size_t open_descriptors() {
  using Iterator = std::filesystem::directory_iterator;
  return static_cast<std::size_t>(std::distance(Iterator("/proc/self/fd"), Iterator()));
}

TEST_F(BrokerTest, ARequestThatDoesNotComeInTimeEndsTheConnection) {
  start({}, {.limits = {.request_time = milliseconds(50)}});
  EXPECT_EQ(client().hear_all(), "");
  EXPECT_THAT(answer_to("CONNECT a.ex"), StartsWith("HTTP/1.1 504 "));
}

TEST_F(BrokerTest, AnIdleTunnelEnds) {
  const Server server(echo);
  start({{.host = "127.0.0.1", .port = server.port(), .protocol = TCP}},
        {.limits = {.idle_time = milliseconds(50)}});
  EXPECT_EQ(tunnel(server.port()).hear_all(), "");
}

// The queue of the listener is full, so that connecting to it takes for ever.
TEST_F(BrokerTest, AConnectThatTakesTooLongIs504) {
  auto full = loopback::listen_here();
  ASSERT_EQ(listen(full.fd.get(), 0), 0);
  const auto waiting = Peer::to(full.port);
  start({{.host = "127.0.0.1", .port = full.port, .protocol = TCP}},
        {.limits = {.connect_time = milliseconds(50)}});
  EXPECT_THAT(answer_to(connect_request("127.0.0.1", full.port)), StartsWith("HTTP/1.1 504 "));
  EXPECT_THAT(only_decision().reason, HasSubstr("timed out"));
}

TEST_F(BrokerTest, ConnectionsBeyondTheLimitWaitForOneToEnd) {
  start({}, {.limits = {.connections = 2}});
  const auto first = client();
  auto second = std::make_unique<Peer>(client());
  const auto third = client();
  ASSERT_TRUE(third.say(connect_request("a.example", 3)));
  ASSERT_TRUE(second->say(connect_request("a.example", 2)));
  EXPECT_THAT(second->hear_all(), StartsWith("HTTP/1.1 403 "));
  second.reset();
  EXPECT_THAT(third.hear_all(), StartsWith("HTTP/1.1 403 "));
  const auto report = broker_->report();
  ASSERT_EQ(report.decisions.size(), 2U);
  EXPECT_EQ(report.decisions[0].port, 2);
}

TEST_F(BrokerTest, AClientThatNeverReadsStopsNobodyElse) {
  std::vector<std::thread> threads;
  auto server = std::make_unique<Server>([&](const Peer& peer) {
    const auto kind = peer.hear(1);
    if (kind == "e") return (void)peer.say("well " + peer.hear_all());
    // Far more than all buffers on the way hold: the rest has to wait here.
    threads.emplace_back([fd = fcntl(peer.fd(), F_DUPFD_CLOEXEC, 0)] {
      (void)Peer(UniqueFd(fd)).say(std::string(64 * 1024 * 1024, 'x'));
    });
  });
  const auto port = server->port();
  start({{.host = "127.0.0.1", .port = port, .protocol = TCP}});
  {
    const auto silent = tunnel(port);
    ASSERT_TRUE(silent.say("flood"));
    for (int i = 0; i < 10; ++i) {
      const auto other = tunnel(port);
      ASSERT_TRUE(other.say("echo"));
      other.end();
      EXPECT_EQ(other.hear_all(), "well cho");
    }
    EXPECT_LT(broker_->report().bytes_in, 64U * 1024 * 1024);
  }
  broker_.reset();
  server.reset();
  for (auto& thread : threads)
    thread.join();
}

TEST_F(BrokerTest, DecisionsAreBoundedAndCounted) {
  start({});
  for (std::size_t i = 0; i < kMaxDecisions + 5; ++i) {
    ASSERT_THAT(answer_to(connect_request("a.example", 443)), StartsWith("HTTP/1.1 403 "));
  }
  const auto report = broker_->report();
  EXPECT_EQ(report.decisions.size(), kMaxDecisions);
  EXPECT_EQ(report.decisions_dropped, 5U);
  EXPECT_EQ(report.denied, kMaxDecisions + 5);
}

TEST_F(BrokerTest, TenThousandConnectionsLeaveNoDescriptor) {
  const Server server([](const Peer& peer) { (void)peer.say("bye"); });
  const auto before = open_descriptors();
  start({{.host = "127.0.0.1", .port = server.port(), .protocol = TCP}});
  for (int i = 0; i < 2500; ++i) {
    (void)answer_to(connect_request("127.0.0.1", server.port()));  // the server ends it
    (void)answer_to(connect_request("a.example", 443));            // denied
    (void)tunnel(server.port());                                   // the client ends it
    (void)client();                                                // says nothing
  }
  broker_.reset();
  EXPECT_EQ(open_descriptors(), before);
}

// Blocks until it is told; the broker must not wait for it.
class StuckResolver final : public Resolver {
 public:
  explicit StuckResolver(std::shared_future<void> until) : until_(std::move(until)) {}
  Result<std::vector<Address>> resolve(const std::string& name) override {
    until_.wait();
    return fail(ErrorCode::NotFound, name);
  }

 private:
  std::shared_future<void> until_;
};

TEST_F(BrokerTest, DestructionWaitsForNoLookupAndClosesWhatIsOpen) {
  const Server server(echo);
  std::promise<void> release;
  start({{.host = "a.example", .port = 443, .protocol = TCP},
         {.host = "127.0.0.1", .port = server.port(), .protocol = TCP}},
        {.resolver = std::make_unique<StuckResolver>(release.get_future().share())});
  std::vector<Peer> looking_up;
  for (std::size_t i = 0; i < kMaxLookups + 4; ++i) {
    looking_up.push_back(client());
    ASSERT_TRUE(looking_up.back().say(connect_request("a.example", 443)));
  }
  const auto open = tunnel(server.port());
  ASSERT_TRUE(open.say("x"));
  ASSERT_EQ(open.hear(1), "x");
  broker_.reset();
  EXPECT_EQ(open.hear_all(), "");
  for (const auto& peer : looking_up)
    EXPECT_EQ(peer.hear_all(), "");
  release.set_value();
}

TEST_F(BrokerTest, ALookupThatTakesTooLongIs504AndItsAnswerIsDropped) {
  std::promise<void> release;
  start({{.host = "a.example", .port = 443, .protocol = TCP}},
        {.resolver = std::make_unique<StuckResolver>(release.get_future().share()),
         .limits = {.connect_time = milliseconds(50)}});
  EXPECT_THAT(answer_to(connect_request("a.example", 443)), StartsWith("HTTP/1.1 504 "));
  release.set_value();
  EXPECT_THAT(answer_to(connect_request("b.example", 443)), StartsWith("HTTP/1.1 403 "));
}

TEST_F(BrokerTest, MoreLookupsThanThreadsAreAllAnswered) {
  start({{.host = "a.example", .port = 443, .protocol = TCP}});
  std::vector<Peer> peers;
  for (std::size_t i = 0; i < 4 * kMaxLookups; ++i) {
    peers.push_back(client());
    ASSERT_TRUE(peers.back().say(connect_request("a.example", 443)));
  }
  for (const auto& peer : peers)
    EXPECT_THAT(peer.hear_all(), StartsWith("HTTP/1.1 502 "));
  EXPECT_EQ(log_->names().size(), 4 * kMaxLookups);
}

TEST_F(BrokerTest, ABandwidthLimitHoldsBothDirectionsBackAndLosesNothing) {
  const Server server([](const Peer& peer) { (void)peer.say(peer.hear_all()); });
  start({{.host = "127.0.0.1", .port = server.port(), .protocol = TCP}},
        {.mbps = 40, .resolver = nullptr});
  std::vector<std::thread> clients;
  for (const char c : {'a', 'b', 'c'}) {
    clients.emplace_back([this, c, port = server.port()] {
      const auto peer = tunnel(port);
      const std::string bytes(200'000, c);
      EXPECT_TRUE(peer.say(bytes));
      peer.end();
      EXPECT_TRUE(peer.hear_all() == bytes);
    });
  }
  for (auto& thread : clients)
    thread.join();
  const auto report = report_after(600'000);
  EXPECT_EQ(report.bytes_out, 600'000U);
  EXPECT_EQ(report.bytes_in, 600'000U);
  EXPECT_GT(report.throttled_ms, 0U);
}

}  // namespace
}  // namespace symbiont::broker
