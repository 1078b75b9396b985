// The least that passing on a token costs a server: a process that computes as a model does sends a
// few bytes every few milliseconds, and another hands them to a client over TCP and does nothing
// else. Prints the processor time of the latter, a step, with one thread and with a second one that
// the first wakes for sending.
//   relay_floor [STEPS]

#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "base/result.h"
#include "base/unique_fd.h"

namespace {

using symbiont::UniqueFd;

constexpr std::size_t kWeightBytes = std::size_t{90} << 20U;  // SmolLM2-135M's
constexpr std::size_t kTokenBytes = 64;
constexpr std::size_t kChunkBytes = 250;  // of an event stream

void must(bool ok, const char* step) {
  if (ok) return;
  fmt::print(stderr, "relay_floor: {}\n", symbiont::errno_error(step).message());
  std::exit(1);
}

std::pair<UniqueFd, UniqueFd> socket_pair() {
  std::array<int, 2> ends{};
  must(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0, "socketpair");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

/// Connected over the loopback device.
std::pair<UniqueFd, UniqueFd> tcp_pair() {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);  // NOLINT: the sockets interface
  must(::bind(listener.get(), any, size) == 0 && ::listen(listener.get(), 1) == 0 &&
           ::getsockname(listener.get(), any, &size) == 0,
       "listen");
  UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  must(::connect(client.get(), any, size) == 0, "connect");
  UniqueFd server(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  must(server.is_valid(), "accept");
  return {std::move(server), std::move(client)};
}

void in_child(const std::function<void()>& work) {
  const pid_t child = ::fork();
  must(child >= 0, "fork");
  if (child > 0) return;
  work();
  ::_exit(0);
}

/// Reads all weights on two processors, then sends a token; `steps` times.
void compute(int out, int steps) {
  const std::vector<std::uint8_t> weights(kWeightBytes, 1);
  const std::span<const std::uint8_t> all(weights);
  std::atomic<std::uint64_t> sum = 0;
  const auto read = [&sum](std::span<const std::uint8_t> part) {
    sum += std::accumulate(part.begin(), part.end(), std::uint64_t{0});
  };
  const std::array<char, kTokenBytes> token{};
  for (int step = 0; step < steps; ++step) {
    std::jthread other(read, all.first(kWeightBytes / 2));
    read(all.subspan(kWeightBytes / 2));
    other.join();
    must(::write(out, token.data(), token.size()) == kTokenBytes, "send a token");
  }
}

/// Calls `pass` for each token.
void receive(int from, const std::function<void()>& pass) {
  std::array<char, 8192> buffer{};
  while (true) {
    pollfd entry{from, POLLIN, 0};
    (void)::poll(&entry, 1, -1);
    if (::recv(from, buffer.data(), buffer.size(), MSG_DONTWAIT) <= 0) return;
    pass();
  }
}

double processor_us() {
  rusage used{};
  must(::getrusage(RUSAGE_SELF, &used) == 0, "getrusage");
  const auto us = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
  };
  return us(used.ru_utime) + us(used.ru_stime);
}

double measure(int steps, bool second_thread) {
  auto [near, far] = socket_pair();
  auto [server, client] = tcp_pair();
  in_child([&] {
    near.reset();
    far.reset();
    server.reset();
    std::array<char, 8192> buffer{};
    while (::read(client.get(), buffer.data(), buffer.size()) > 0) {
    }
  });
  client.reset();
  in_child([&] {
    near.reset();
    server.reset();
    compute(far.get(), steps);
  });
  far.reset();
  const std::array<char, kChunkBytes> chunk{};
  const auto send = [&] { (void)::send(server.get(), chunk.data(), chunk.size(), MSG_NOSIGNAL); };
  const double before = processor_us();
  if (second_thread) {
    const UniqueFd bell(::eventfd(0, EFD_CLOEXEC));
    std::atomic<bool> over = false;
    std::jthread sender([&] {
      eventfd_t rings = 0;
      while (::eventfd_read(bell.get(), &rings) == 0 && !over)
        send();
    });
    receive(near.get(), [&] { (void)::eventfd_write(bell.get(), 1); });
    over = true;
    (void)::eventfd_write(bell.get(), 1);
  } else {
    receive(near.get(), send);
  }
  const double used = processor_us() - before;
  server.reset();
  while (::wait(nullptr) > 0) {
  }
  return used / steps;
}

}  // namespace

int main(int argc, char** argv) {
  const int steps = argc > 1 ? std::atoi(argv[1]) : 300;
  if (steps <= 0) {
    fmt::print(stderr, "usage: relay_floor [STEPS]\n");
    return 2;
  }
  for (int round = 0; round < 3; ++round) {
    fmt::print("a step: {:.0f} us with one thread, {:.0f} us with two\n", measure(steps, false),
               measure(steps, true));
  }
  return 0;
}
