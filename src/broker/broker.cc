#include "broker/broker.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>

#include <csignal>
#include <system_error>
#include <thread>
#include <utility>

#include "broker/ledger.h"
#include "broker/loop.h"

namespace symbiont::broker {
namespace {

// Bits in a second of one Mbit/s, in bytes.
constexpr std::uint64_t kBytesPerMbit = 1'000'000 / 8;
constexpr std::uint64_t kMaxMbps = 1'000'000;  // beyond any link: a product that cannot overflow

Status check_listener(int fd) {
  int listens = 0;
  socklen_t size = sizeof listens;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0) {
    return fail(errno_error("the broker's socket"));
  }
  if (listens == 0) {
    return fail(ErrorCode::InvalidArgument, "the broker's socket does not listen");
  }
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
    return fail(errno_error("fcntl on the broker's socket"));
  }
  return {};
}

}  // namespace

class Broker::Impl {
 public:
  [[nodiscard]] Status start(Loop::Setup setup) {
    SYMBIONT_TRY(loop_, Loop::create(std::move(setup), ledger_));
    // Signals are for the threads of the host program.
    sigset_t all{};
    sigset_t before{};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    Status status;
    try {
      thread_ = std::thread([loop = loop_.get()] { loop->run(); });
    } catch (const std::system_error& error) {
      status = fail(ErrorCode::ResourceExhausted,
                    std::string("no thread for the broker: ") + error.what());
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return status;
  }

  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    if (!thread_.joinable()) return;
    loop_->stop();
    thread_.join();
  }

  [[nodiscard]] BrokerReport report() const { return ledger_.report(); }

 private:
  Ledger ledger_;
  std::unique_ptr<Loop> loop_;
  std::thread thread_;
};

Broker::Broker(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Broker::~Broker() = default;

Result<std::unique_ptr<Broker>> Broker::start(UniqueFd listener,
                                              const NetworkPolicy& policy,
                                              bool require_encryption,
                                              std::unique_ptr<Resolver> resolver,
                                              const Limits& limits) {
  if (policy.access_mode != NetworkAccessMode::Restricted) {
    return fail(ErrorCode::InvalidArgument, "a broker serves network access Restricted only");
  }
  SYMBIONT_TRY(auto destinations, Destinations::build(policy, require_encryption));
  SYMBIONT_TRY_STATUS(check_listener(listener.get()));
  if (resolver == nullptr) resolver = system_resolver();
  auto impl = std::make_unique<Impl>();
  SYMBIONT_TRY_STATUS(impl->start(
      {.listener = std::move(listener),
       .destinations = std::move(destinations),
       .require_encryption = require_encryption,
       .bytes_per_second = std::min(policy.max_bandwidth_mbps, kMaxMbps) * kBytesPerMbit,
       .resolver = std::move(resolver),
       .limits = limits}));
  return std::unique_ptr<Broker>(new Broker(std::move(impl)));
}

BrokerReport Broker::report() const {
  return impl_->report();
}

}  // namespace symbiont::broker
