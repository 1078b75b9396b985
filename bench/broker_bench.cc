// The egress broker on loopback: throughput without a limit, accuracy of limits, what connecting
// through it costs. Prints a table; asserts nothing.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "broker/broker.h"
#include "broker/loopback_for_test.h"

namespace {

using namespace symbiont;  // NOLINT(google-build-using-namespace): one program, one subject
using broker::Broker;
using broker::loopback::Peer;
using broker::loopback::Server;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kPiece = 256 * 1024;
constexpr int kConnections = 2000;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Running {
  std::unique_ptr<Broker> broker;
  std::uint16_t port = 0;
};
Running start_broker(std::uint16_t server_port, std::uint64_t mbps) {
  auto listener = broker::loopback::listen_here();
  const NetworkPolicy policy{.access_mode = NetworkAccessMode::Restricted,
                             .allowed_destinations = {{.host = "127.0.0.1",
                                                       .port = server_port,
                                                       .protocol = NetworkProtocol::TCP}},
                             .max_bandwidth_mbps = mbps};
  auto started = Broker::start(std::move(listener.fd), policy, false);
  if (!started.has_value()) {
    fmt::print(stderr, "broker_bench: {}\n", started.error().message());
    return {};
  }
  return {.broker = *std::move(started), .port = listener.port};
}

Peer open_tunnel(std::uint16_t broker_port, std::uint16_t server_port) {
  auto peer = Peer::to(broker_port);
  (void)peer.say(fmt::format("CONNECT 127.0.0.1:{} HTTP/1.1\r\n\r\n", server_port));
  (void)peer.hear_until("\r\n\r\n");
  return peer;
}

// Reads for `duration`; the rate in Mbit/s.
double download(const Peer& peer, std::chrono::milliseconds duration) {
  std::vector<char> piece(kPiece);
  std::uint64_t bytes = 0;
  const auto start = Clock::now();
  while (Clock::now() - start < duration) {
    const auto got = recv(peer.fd(), piece.data(), piece.size(), 0);
    if (got <= 0) break;
    bytes += static_cast<std::uint64_t>(got);
  }
  return static_cast<double>(bytes) * 8 / 1e6 / seconds_since(start);
}

void flood(const Peer& peer) {
  const std::string piece(kPiece, 'x');
  while (peer.say(piece)) {
  }
}

void measure_throughput() {
  const Server server(flood);
  const auto direct = download(Peer::to(server.port()), std::chrono::seconds(2));
  const auto running = start_broker(server.port(), 0);
  const auto through = download(open_tunnel(running.port, server.port()), std::chrono::seconds(2));
  fmt::print(
      "throughput, one connection   direct {:.2f} Gbit/s   through the broker {:.2f} Gbit/s\n",
      direct / 1000, through / 1000);
}

void measure_limit(std::uint64_t mbps, std::chrono::milliseconds duration) {
  const Server server(flood);
  const auto running = start_broker(server.port(), mbps);
  const auto rate = download(open_tunnel(running.port, server.port()), duration);
  fmt::print("limit {:>3} Mbit/s over {:.0f} s    {:.2f} Mbit/s ({:+.1f} %)\n", mbps,
             static_cast<double>(duration.count()) / 1000, rate,
             (rate / static_cast<double>(mbps) - 1) * 100);
}

// Until the first byte of the server: connecting alone says nothing about either.
template <typename Open>
void measure_connects(std::string_view what, const Open& open) {
  std::vector<double> micros;
  for (int i = 0; i < kConnections; ++i) {
    const auto start = Clock::now();
    const auto peer = open();
    (void)peer.hear(1);
    micros.push_back(seconds_since(start) * 1e6);
  }
  std::ranges::sort(micros);
  fmt::print("first byte, {:<18}  p50 {:.0f} us   p99 {:.0f} us\n", what,
             micros.at(kConnections / 2), micros.at(kConnections * 99 / 100));
}

}  // namespace

int main() {
  measure_throughput();
  for (const std::uint64_t mbps : {8U, 80U}) {
    measure_limit(mbps, std::chrono::seconds(2));
    measure_limit(mbps, std::chrono::seconds(6));
  }
  const Server server([](const Peer& peer) { (void)peer.say("x"); });
  const auto running = start_broker(server.port(), 0);
  measure_connects("direct", [&] { return Peer::to(server.port()); });
  measure_connects("through the broker", [&] { return open_tunnel(running.port, server.port()); });
  return 0;
}
