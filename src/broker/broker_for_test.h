#ifndef SYMBIONT_BROKER_BROKER_FOR_TEST_H_
#define SYMBIONT_BROKER_BROKER_FOR_TEST_H_

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "broker/broker.h"
#include "broker/loopback_for_test.h"

namespace symbiont::broker {

/// A broker on a port of 127.0.0.1, as the sandbox sets it up in its own namespace.
class BrokerTest : public testing::Test {
 protected:
  struct Options {
    bool require_encryption = false;
    std::uint64_t mbps = 0;
    std::unique_ptr<Resolver> resolver{};
    Limits limits{};
  };
  void start(std::vector<NetworkDestination> list, Options options) {
    auto listener = loopback::listen_here();
    port_ = listener.port;
    NetworkPolicy policy{.access_mode = NetworkAccessMode::Restricted,
                         .allowed_destinations = std::move(list),
                         .max_bandwidth_mbps = options.mbps};
    if (options.resolver == nullptr) options.resolver = resolver({});
    auto broker = Broker::start(std::move(listener.fd), policy, options.require_encryption,
                                std::move(options.resolver), options.limits);
    ASSERT_TRUE(broker.has_value()) << broker.error().message();
    broker_ = *std::move(broker);
  }
  void start(std::vector<NetworkDestination> list) { start(std::move(list), {}); }

  std::unique_ptr<Resolver> resolver(std::deque<std::vector<Address>> answers) {
    return std::make_unique<loopback::FakeResolver>(std::move(answers), log_);
  }
  /// The report once it counts `bytes` that came in: counted a moment after the program has them.
  [[nodiscard]] BrokerReport report_after(std::uint64_t bytes) const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    BrokerReport report = broker_->report();
    while (report.bytes_in < bytes && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
      report = broker_->report();
    }
    return report;
  }
  [[nodiscard]] loopback::Peer client() const { return loopback::Peer::to(port_); }
  static std::string connect_request(const std::string& host, std::uint16_t port) {
    return fmt::format("CONNECT {0}:{1} HTTP/1.1\r\nHost: {0}:{1}\r\n\r\n", host, port);
  }
  /// A client whose tunnel to 127.0.0.1:`port` is open.
  [[nodiscard]] loopback::Peer tunnel(std::uint16_t port) const {
    auto peer = client();
    EXPECT_TRUE(peer.say(connect_request("127.0.0.1", port)));
    EXPECT_EQ(peer.hear_until("\r\n\r\n"), "HTTP/1.1 200 Connection established\r\n\r\n");
    return peer;
  }
  /// The whole answer to `request`.
  [[nodiscard]] std::string answer_to(const std::string& request) const {
    const auto peer = client();
    EXPECT_TRUE(peer.say(request));
    return peer.hear_all();
  }
  [[nodiscard]] Decision only_decision() const {
    auto report = broker_->report();
    EXPECT_EQ(report.decisions.size(), 1U);
    return report.decisions.empty() ? Decision{} : report.decisions.front();
  }
  static Address address(const char* text) { return Address::parse(text).value(); }

  std::shared_ptr<loopback::FakeResolver::Log> log_ =
      std::make_shared<loopback::FakeResolver::Log>();
  std::uint16_t port_ = 0;
  std::unique_ptr<Broker> broker_;
};

/// Sends back what it hears; ends when the peer does.
inline void echo(const loopback::Peer& peer) {
  for (std::string piece; !(piece = peer.hear(1)).empty();) {
    if (!peer.say(piece)) return;
  }
}

}  // namespace symbiont::broker

#endif  // SYMBIONT_BROKER_BROKER_FOR_TEST_H_
