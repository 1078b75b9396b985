#include "broker/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "base/strings.h"

namespace symbiont::broker {
namespace {

constexpr std::size_t kMaxDiscardedBytes = 1024 * 1024;  // of a client that was told to go

void send_at_once(int fd) {
  const int on = 1;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // not TCP: then no need either
}

std::string printable(const std::string& host) {
  const bool is_plain = std::ranges::all_of(host, [](char c) { return c > 0x20 && c < 0x7f; });
  return is_plain && host.size() <= kMaxShownHost ? host : symbiont::quoted(host, kMaxShownHost);
}

NetworkProtocol asked_protocol(Carrier carrier) {
  if (carrier == Carrier::Datagram) return NetworkProtocol::UDP;
  return carrier == Carrier::PlainRequest ? NetworkProtocol::HTTP : NetworkProtocol::TCP;
}

}  // namespace

Connection::Connection(std::uint64_t id,
                       UniqueFd client,
                       const Surroundings& around,
                       Clock::time_point now)
    : id_(id), around_(around), now_(now), deadline_(now + around.limits.request_time) {
  client_.fd = std::move(client);
  send_at_once(client_.fd.get());
  if (!watch(client_, Side::Client)) finish();
}

Connection::~Connection() {
  if (phase_ != Phase::Finished) finish();
}

// Registers a new socket; events come for every change from now on.
bool Connection::watch(Endpoint& endpoint, Side side) const {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = event_tag(id_, side);
  return epoll_ctl(around_.epoll, EPOLL_CTL_ADD, endpoint.fd.get(), &event) == 0;
}

void Connection::on_event(Side side, std::uint32_t events) {
  auto& endpoint = side == Side::Client ? client_ : upstream_;
  const bool is_over = (events & (EPOLLERR | EPOLLHUP)) != 0;
  if (is_over || (events & (EPOLLIN | EPOLLRDHUP)) != 0) endpoint.is_readable = true;
  if (is_over || (events & EPOLLOUT) != 0) endpoint.is_writable = true;
  if ((events & EPOLLERR) != 0) endpoint.is_broken = true;
}

Connection::Next Connection::run(Clock::time_point now) {
  now_ = now;
  if (client_.is_broken && (phase_ != Phase::Relaying || out_.has_ended())) finish();
  if (phase_ == Phase::Handshake) read_handshake();
  if (phase_ == Phase::Connecting) check_connected();
  if (phase_ == Phase::Relaying) return relay();
  if (phase_ == Phase::Parting) run_parting();
  return phase_ == Phase::Finished ? Next::Finished : Next::Wait;
}

void Connection::read_handshake() {
  std::array<char, 4096> piece{};
  while (client_.is_readable && phase_ == Phase::Handshake) {
    const auto got = recv(client_.fd.get(), piece.data(), piece.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) {
      client_.is_readable = false;
      break;
    }
    if (got <= 0) return finish();  // gone before it said what it wants
    input_.append(piece.data(), static_cast<std::size_t>(got));
    std::string reply;
    const auto state = handshake_.feed(input_, reply);
    in_.enqueue_own(reply);
    if (!state.has_value()) return part(Failure::Malformed, state.error().message());
    if (*state == Handshake::State::Asked) decide();
  }
  Flow flow{.throttle = around_.throttle, .now = now_, .scratch = around_.scratch};
  if (phase_ != Phase::Finished && !in_.flush(client_, flow)) finish();
}

void Connection::decide() {
  const auto& asked = handshake_.authority();
  decision_ = Decision{.host = printable(asked.host),
                       .port = asked.port,
                       .protocol = asked_protocol(handshake_.carrier()),
                       .reason = {},
                       .address = {}};
  auto host = parse_host(asked.host);
  if (!host.has_value()) return refuse(host.error().message());
  host_ = *std::move(host);
  auto ruling = around_.destinations.judge(host_, asked.port, handshake_.carrier());
  decision_->protocol = ruling.protocol;
  if (!ruling.allowed) return refuse(std::move(ruling.reason));
  phase_ = Phase::Resolving;
  connect_deadline_ = deadline_ = now_ + around_.limits.connect_time;
  if (host_.address.has_value()) {
    candidates_ = {*host_.address};  // listed as it stands
    return connect_next({});
  }
  around_.lookups.start(id_, host_.text);
}

void Connection::on_lookup(Result<std::vector<Address>> addresses, Clock::time_point now) {
  if (phase_ != Phase::Resolving) return;
  now_ = now;
  set_candidates(std::move(addresses));
}

void Connection::set_candidates(Result<std::vector<Address>> addresses) {
  if (addresses.has_value()) {
    addresses = around_.destinations.check_addresses(
        *std::move(addresses), host_, handshake_.authority().port, handshake_.carrier());
  }
  if (!addresses.has_value()) {
    const auto& error = addresses.error();
    if (error.code() == ErrorCode::PermissionDenied) return refuse(error.message());
    record(true, error.message());
    return part(Failure::Unreachable, error.message());
  }
  candidates_ = *std::move(addresses);
  connect_next({});
}

// Tries the next address; `failure` is what the last one said.
void Connection::connect_next(std::string_view failure) {
  std::string reason(failure);
  const auto port = handshake_.authority().port;
  while (next_candidate_ < candidates_.size() && now_ < connect_deadline_) {
    const auto& address = candidates_[next_candidate_++];
    decision_->address = address.text();
    upstream_ = {};
    upstream_.fd.reset(socket(address.is_v4() ? AF_INET : AF_INET6,
                              SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
    sockaddr_storage target{};
    const auto length = address.to_sockaddr(port, target);
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): the socket API
    const auto* generic = reinterpret_cast<const sockaddr*>(&target);
    if (!upstream_.fd.is_valid() ||
        (connect(upstream_.fd.get(), generic, length) != 0 && errno != EINPROGRESS) ||
        !watch(upstream_, Side::Upstream)) {
      reason =
          fmt::format("cannot connect to {} port {}: {}", address.text(), port, errno_text(errno));
      continue;
    }
    phase_ = Phase::Connecting;
    // An address that does not answer leaves time for those after it.
    const auto left = static_cast<int>(candidates_.size() - next_candidate_ + 1);
    deadline_ = now_ + (connect_deadline_ - now_) / left;
    return;
  }
  upstream_ = {};
  decision_->address.clear();
  const bool is_late = now_ >= connect_deadline_;
  record(true, reason);
  part(is_late ? Failure::TimedOut : Failure::Unreachable, reason);
}

void Connection::check_connected() {
  if (!upstream_.is_writable) return;
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(upstream_.fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) {
    return connect_next(fmt::format("cannot connect to {} port {}: {}", decision_->address,
                                    handshake_.authority().port, errno_text(error)));
  }
  begin_relay();
}

void Connection::begin_relay() {
  send_at_once(upstream_.fd.get());
  const bool is_request = handshake_.carrier() == Carrier::PlainRequest;
  if (is_request) {
    filter_ = std::make_unique<BodyFilter>(handshake_.request().body);
    out_.enqueue(forwarded_head(handshake_.request()));
  } else if (around_.require_encryption) {
    filter_ = std::make_unique<TlsFilter>();
  }
  // What came in one piece with the request.
  std::string_view early = input_;
  if (filter_ != nullptr) {
    const auto passed = filter_->take(early);
    if (!passed.has_value() && !is_request) return refuse(passed.error().message());
    if (!passed.has_value()) {
      record(true, passed.error().message());
      return part(Failure::Malformed, passed.error().message());
    }
    early = early.substr(0, *passed);
  }
  out_.enqueue(early);
  if (filter_ != nullptr && filter_->ended()) out_.end_quietly();
  if (filter_ == nullptr || filter_->checked()) record(true, {});
  around_.throttle.spend(out_.pending_bytes());
  in_.enqueue_own(handshake_.success());
  input_ = {};
  phase_ = Phase::Relaying;
  touch();
}

Pump::State Connection::pump_out() {
  Flow flow{.throttle = around_.throttle,
            .now = now_,
            .scratch = around_.scratch,
            .filter = filter_.get()};
  const auto state = out_.run(client_, upstream_, flow);
  around_.ledger.add_bytes_out(flow.moved);
  if (flow.moved > 0) touch();
  return state;
}

Pump::State Connection::pump_in() {
  Flow flow{.throttle = around_.throttle, .now = now_, .scratch = around_.scratch};
  // Nothing comes back before the client has shown that it speaks TLS.
  const bool is_held = filter_ != nullptr && !filter_->checked();
  auto state = Pump::State::Waiting;
  if (!is_held) {
    state = in_.run(upstream_, client_, flow);
  } else if (!in_.flush(client_, flow)) {
    state = Pump::State::SinkBroken;
  }
  around_.ledger.add_bytes_in(flow.moved);
  if (flow.moved > 0) touch();
  return state;
}

Connection::Next Connection::relay() {
  is_in_first_ = !is_in_first_;
  auto in = Pump::State::Waiting;
  if (is_in_first_) in = pump_in();
  const auto out = pump_out();
  if (!is_in_first_) in = pump_in();
  if (out == Pump::State::Refused) {
    if (decision_.has_value()) record(false, "not TLS");
    finish();
  } else if (out == Pump::State::SourceBroken || in == Pump::State::SinkBroken) {
    finish();
  } else if (in == Pump::State::SourceBroken || (upstream_.is_broken && in_.has_ended())) {
    finish(true);
  } else if (out == Pump::State::SinkBroken) {
    out_.abandon();  // the destination may still have something to say
  }
  if (phase_ != Phase::Finished && decision_.has_value() && filter_->checked()) record(true, {});
  if (phase_ == Phase::Finished) return Next::Finished;
  if (in_.is_finished() && (out_.is_finished() || handshake_.carrier() == Carrier::PlainRequest)) {
    begin_parting();
    run_parting();
    return phase_ == Phase::Finished ? Next::Finished : Next::Wait;
  }
  if (in == Pump::State::MoreToDo || out == Pump::State::MoreToDo) return Next::RunAgain;
  const bool is_throttled = in == Pump::State::Throttled || out == Pump::State::Throttled;
  return is_throttled ? Next::WaitForBandwidth : Next::Wait;
}

void Connection::on_deadline(Clock::time_point now) {
  now_ = now;
  switch (phase_) {
    case Phase::Handshake:
      return part(Failure::TimedOut, "the request did not arrive in time");
    case Phase::Resolving:
      record(true, "the name was not resolved in time");
      return part(Failure::TimedOut, "the name was not resolved in time");
    case Phase::Connecting:
      return connect_next(fmt::format("cannot connect to {} port {}: timed out", decision_->address,
                                      handshake_.authority().port));
    case Phase::Relaying:
    case Phase::Parting:
    case Phase::Finished:
      return finish();
  }
}

void Connection::record(bool allowed, std::string reason) {
  if (!decision_.has_value()) return;
  decision_->allowed = allowed;
  decision_->reason = std::move(reason);
  around_.ledger.record(*std::move(decision_));
  decision_.reset();
}

void Connection::refuse(std::string reason) {
  const std::string told = reason;
  decision_->address.clear();
  record(false, std::move(reason));
  part(Failure::Denied, told);
}

// Tells the client that it gets nothing.
void Connection::part(Failure failure, const std::string& reason) {
  in_.enqueue_own(handshake_.failure(failure, reason));
  begin_parting();
}

// A socket that is closed with unread bytes in it is reset, and its peer may lose what it was just
// sent: so the client is given a moment, and what it still says is thrown away.
void Connection::begin_parting() {
  around_.lookups.forget(id_);
  upstream_ = {};
  out_.abandon();
  input_ = {};
  phase_ = Phase::Parting;
  deadline_ = now_ + around_.limits.parting_time;
}

void Connection::run_parting() {
  Flow flow{.throttle = around_.throttle, .now = now_, .scratch = around_.scratch};
  if (!in_.flush(client_, flow)) return finish();
  if (in_.has_pending()) return;
  if (!is_parting_shut_) shutdown(client_.fd.get(), SHUT_WR);
  is_parting_shut_ = true;
  while (client_.is_readable) {
    const auto got = recv(client_.fd.get(), around_.scratch.data(), around_.scratch.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) {
      client_.is_readable = false;
      return;
    }
    discarded_ += got > 0 ? static_cast<std::size_t>(got) : 0;
    if (got <= 0 || discarded_ > kMaxDiscardedBytes) return finish();
  }
}

void Connection::finish(bool reset_client) {
  around_.lookups.forget(id_);
  record(true, "closed before anything was sent");
  if (reset_client && client_.fd.is_valid()) {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(client_.fd.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  client_ = {};
  upstream_ = {};
  phase_ = Phase::Finished;
}

}  // namespace symbiont::broker
