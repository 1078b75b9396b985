#include "api/connection.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include <boost/asio/this_coro.hpp>

#include "api/openai/errors.h"
#include "api/plan_in_progress.h"

namespace symbiont::api {
namespace {

using boost::asio::awaitable;
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only

constexpr std::size_t kReadBytes = std::size_t{16} << 10U;
constexpr std::size_t kFirstBytes = 1024;  // while nothing is under way
constexpr std::size_t kWatchBytes = 256;   // while an answer is under way
constexpr std::size_t kLingerBytes = std::size_t{256} << 10U;
constexpr std::chrono::seconds kLingerTime = 1s;
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

/// Gives the memory back, which assigning an empty string does not.
void release(std::string& text) {
  std::string().swap(text);
}

/// Counts something while it lives.
class Counted {
 public:
  explicit Counted(std::size_t& count) : count_(count) { ++count_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --count_; }

 private:
  std::size_t& count_;
};

/// Body bytes of this connection in the sum of all, until the body has gone to its handler.
class BodyShare {
 public:
  explicit BodyShare(std::size_t& sum) : sum_(sum) {}
  BodyShare(const BodyShare&) = delete;
  BodyShare& operator=(const BodyShare&) = delete;
  ~BodyShare() { sum_ -= bytes_; }
  [[nodiscard]] bool add(std::size_t bytes) {
    bytes_ += bytes;
    sum_ += bytes;
    return sum_ <= kMaxBodyBytesInFlight;
  }

 private:
  std::size_t& sum_;
  std::size_t bytes_ = 0;
};

}  // namespace

Connection::Connection(const boost::asio::any_io_executor& executor,
                       std::unique_ptr<Transport> transport,
                       Peer peer,
                       Service& service)
    : transport_(std::move(transport)),
      peer_(std::move(peer)),
      service_(service),
      signal_(executor) {}

// --- From outside -------------------------------------------------------------------------------

void Connection::check_deadline(Clock::time_point now) {
  if (is_expired_ || now < deadline_) return;
  is_expired_ = true;
  transport_->cancel();
  signal_.notify();
}

void Connection::close_when_idle() {
  is_closing_ = true;
  if (phase_ == Phase::Idle) close_now();
}

void Connection::close_now() {
  has_ended_ = true;
  is_closing_ = true;
  transport_->cancel();
  signal_.notify();
}

// --- Reading ------------------------------------------------------------------------------------

void Connection::start_reading(std::size_t bytes) {
  is_reading_ = true;
  reading_.resize(bytes);
  transport_->read(reading_, [self = shared_from_this()](std::size_t count) {
    self->is_reading_ = false;
    self->has_ended_ = self->has_ended_ || count == 0;
    self->input_.append(self->reading_, 0, count);
    if (self->reading_.size() > kFirstBytes) release(self->reading_);
    self->signal_.notify();
  });
}

awaitable<Connection::Input> Connection::more_input(std::size_t bytes) {
  const std::size_t before = input_.size();
  if (!is_reading_ && !has_ended_) start_reading(bytes);
  while (input_.size() == before && !has_ended_ && !is_expired_)
    co_await signal_.wait();
  if (input_.size() > before) co_return Input::Bytes;
  co_return is_expired_ ? Input::Expired : Input::Ended;
}

awaitable<bool> Connection::read_head(RequestReader& reader) {
  const ServerLimits& limits = service_.limits();
  phase_ = Phase::Idle;
  set_deadline(is_first_ ? limits.header_timeout : limits.idle_timeout);
  while (!reader.has_head()) {
    if (!input_.empty()) {
      if (phase_ == Phase::Idle) {
        phase_ = Phase::Head;
        set_deadline(limits.header_timeout);  // for all of it: a byte now and then does not help
      }
      input_.erase(0, reader.feed(input_));
      if (reader.error().has_value()) {
        close_after_ = true;
        (void)co_await send_error(*reader.error());
        co_await linger();
        co_return false;
      }
      if (reader.has_head()) break;
    }
    const Input got = co_await more_input(phase_ == Phase::Idle ? kFirstBytes : kReadBytes);
    if (got == Input::Ended) co_return false;
    if (got == Input::Expired) {
      if (phase_ == Phase::Head) {
        close_after_ = true;
        const ApiError late{.kind = ErrorKind::RequestTimeout,
                            .message = "The head of the request did not arrive in time.",
                            .code = "request_timeout"};
        (void)co_await send_error(late);
      }
      co_return false;
    }
  }
  is_first_ = false;
  co_return true;
}

awaitable<bool> Connection::read_body(RequestReader& reader) {
  phase_ = Phase::Body;
  set_deadline(service_.limits().body_timeout);
  BodyShare share(service_.body_bytes_in_flight);
  if (!reader.is_done() && reader.expects_continue() && input_.empty()) {
    if (!co_await write(kContinue)) co_return false;
    set_deadline(service_.limits().body_timeout);
  }
  ApiError error{.kind = ErrorKind::RequestTimeout,
                 .message = "The body of the request did not arrive in time.",
                 .code = "request_timeout"};
  while (!reader.is_done()) {
    const std::size_t used = reader.feed(input_);
    input_.erase(0, used);
    const bool has_room = share.add(used);
    if (!has_room || reader.error().has_value()) {
      const ApiError full{.kind = ErrorKind::Unavailable,
                          .message = "The server is receiving too much at the moment.",
                          .code = "busy",
                          .retry_after_seconds = 1};
      error = has_room ? *reader.error() : full;
      break;
    }
    if (reader.is_done()) co_return true;
    const Input got = co_await more_input(kReadBytes);
    if (got == Input::Ended) co_return false;
    if (got == Input::Expired) break;
  }
  if (reader.is_done()) co_return true;
  close_after_ = true;
  (void)co_await send_error(error);
  co_await linger();
  co_return false;
}

/// After an answer to a request that was not read to its end: closing at once would reset the
/// connection, and the client might never see the answer.
awaitable<void> Connection::linger() {
  transport_->end_sending();
  is_expired_ = false;
  set_deadline(kLingerTime);
  for (std::size_t got = 0; got < kLingerBytes; got += input_.size()) {
    input_.clear();
    if (co_await more_input(kReadBytes) != Input::Bytes) break;
  }
}

// --- Answering ----------------------------------------------------------------------------------

awaitable<bool> Connection::write(std::string_view bytes) {
  if (has_ended_ && is_closing_) co_return false;
  set_deadline(service_.limits().write_timeout);
  const bool written = co_await transport_->write(bytes);
  if (!written) has_ended_ = true;
  deadline_ = Clock::time_point::max();
  co_return written;
}

awaitable<bool> Connection::send(const Request& request, Response response) {
  service_.decorate(request, response);
  status_ = response.status;
  std::string text = response_head(response, response.body.size(), close_after_);
  text += response.body;
  co_return co_await write(text);
}

/// An error about a request that could not be read: there is no id, and no route whose words fit.
awaitable<bool> Connection::send_error(const ApiError& error) {
  is_expired_ = false;
  const Request unknown;
  Response response = openai::render_error(error, unknown);
  co_return co_await send(unknown, std::move(response));
}

awaitable<Handled> Connection::wait_for(const Later& later) {
  const auto executor = co_await boost::asio::this_coro::executor;
  const auto then = std::make_shared<std::optional<Later::Then>>();
  const std::weak_ptr<Signal> mine = std::shared_ptr<Signal>(shared_from_this(), &signal_);
  service_.run_aside(executor, later.work, [then, mine](const Later::Then& given) {
    *then = given;
    if (const auto signal = mine.lock()) signal->notify();
  });
  deadline_ = Clock::time_point::max();
  while (!then->has_value())
    co_await signal_.wait();
  co_return (**then)();
}

awaitable<bool> Connection::answer(const Route& route, Request& request) {
  Handled handled = route.handler(service_.gateway(), request);
  release(request.body);
  if (handled.has_value() && std::holds_alternative<Later>(*handled)) {
    const Later later = std::get<Later>(*std::move(handled));
    handled = co_await wait_for(later);
  }
  if (!handled.has_value()) {
    Response response = route.render_error(handled.error(), request);
    co_return co_await send(request, std::move(response));
  }
  if (auto* response = std::get_if<Response>(&*handled)) {
    co_return co_await send(request, std::move(*response));
  }
  Plan plan = std::get<Plan>(std::move(*handled));
  co_return co_await carry_out(route, request, std::move(plan));
}

awaitable<bool> Connection::carry_out(const Route& route, const Request& request, Plan plan) {
  // Noticed when the client goes away; what else it sends belongs to its next request.
  if (input_.empty() && !is_reading_ && !has_ended_) start_reading(kWatchBytes);
  const std::weak_ptr<Signal> mine = std::shared_ptr<Signal>(shared_from_this(), &signal_);
  const auto wake = [bell = service_.doorbell(), mine] { bell->ring(mine); };
  PlanInProgress progress(service_, route, request, std::move(plan), wake);
  if (is_http_1_0_) close_after_ = true;  // where a stream ends with the connection
  deadline_ = Clock::time_point::max();   // the execution has its own
  bool has_started = false;
  while (true) {
    progress.advance();
    if (progress.is_done() && !progress.out().is_stream()) {
      Response response = std::move(progress.out().response());
      co_return co_await send(request, std::move(response));
    }
    const std::string bytes = next_of_stream(request, progress, has_started);
    if (!bytes.empty() && !co_await write(bytes)) co_return false;
    if (progress.is_done()) co_return true;
    if (has_ended_) co_return false;  // `progress` cancels on its way out
    co_await signal_.wait();
  }
}

/// What there is to send of a stream; nothing while there is none.
std::string Connection::next_of_stream(const Request& request,
                                       PlanInProgress& progress,
                                       bool& has_started) {
  std::string bytes;
  Output& out = progress.out();
  if (!out.is_stream()) return bytes;
  if (!std::exchange(has_started, true)) {
    Response head = progress.stream_response();
    service_.decorate(request, head);
    status_ = head.status;
    bytes = is_http_1_0_ ? plain_stream_head(head) : stream_head(head, close_after_);
  }
  if (is_http_1_0_) {
    bytes += out.bytes();
  } else {
    if (!out.bytes().empty()) append_chunk(bytes, out.bytes());
    if (progress.is_done()) bytes += kLastChunk;
  }
  release(out.bytes());
  return bytes;
}

void Connection::log_request(const Request& request, const Route* route, Clock::time_point start) {
  // Probes come every few seconds and say nothing.
  if (route != nullptr && route->scope == Scope::Public && status_ == 200) return;
  const std::chrono::duration<double, std::milli> time = Clock::now() - start;
  service_.log().info("request", {{"request_id", request.id},
                                  {"peer", peer_.address},
                                  {"agent", request.identity.agent},
                                  {"key", request.identity.key_id},
                                  {"method", to_string(request.method)},
                                  {"path", request.path},
                                  {"status", status_},
                                  {"ms", time.count()}});
}

awaitable<bool> Connection::serve_one() {
  auto reader = std::make_unique<RequestReader>(service_.limits().max_body_bytes);
  if (!co_await read_head(*reader)) co_return false;
  const Counted busy(service_.busy_connections);
  is_http_1_0_ = reader->is_http_1_0();
  status_ = 0;
  close_after_ = !reader->keeps_alive() || is_closing_ || service_.gateway().is_draining;
  auto head = reader->take_head();
  if (!head.has_value()) {
    close_after_ = true;
    (void)co_await send_error(head.error());
    co_return false;
  }
  Request request = *std::move(head);
  request.peer = peer_;
  const auto start = Clock::now();
  auto route = service_.admit(request);
  if (!route.has_value()) {
    close_after_ = close_after_ || !reader->is_done();
    Response refusal = std::move(route).error();
    const bool sent = co_await send(request, std::move(refusal));
    log_request(request, nullptr, start);
    if (sent && !reader->is_done()) co_await linger();
    co_return sent && !close_after_;
  }
  if (!co_await read_body(*reader)) co_return false;
  request.body = reader->take_body();
  reader.reset();
  if (input_.empty()) release(input_);
  phase_ = Phase::Answer;
  const bool sent = co_await answer(**route, request);
  log_request(request, *route, start);
  co_return sent && !close_after_ && !is_closing_;
}

awaitable<void> Connection::run() {
  const auto self = shared_from_this();
  set_deadline(service_.limits().header_timeout);
  if (!co_await transport_->handshake()) co_return;
  while (co_await serve_one()) {
  }
  transport_->end_sending();
  close_now();
}

}  // namespace symbiont::api
