#ifndef SYMBIONT_API_CONNECTION_H_
#define SYMBIONT_API_CONNECTION_H_

// One connection is one coroutine: it reads a request, lets the service judge it, and answers. All
// waiting has a deadline, which the server looks at from time to time: see check_deadline().

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "api/answer.h"
#include "api/request_reader.h"
#include "api/service.h"
#include "api/signal.h"
#include "api/transport.h"

namespace symbiont::api {

class PlanInProgress;

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Clock = std::chrono::steady_clock;

  Connection(const boost::asio::any_io_executor& executor,
             std::unique_ptr<Transport> transport,
             Peer peer,
             Service& service);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() = default;

  /// Serves until the connection ends. Called once, on an object in a shared_ptr.
  [[nodiscard]] boost::asio::awaitable<void> run();

  /// Ends what takes too long.
  void check_deadline(Clock::time_point now);
  /// Ends it unless a request is being answered; then after the answer.
  void close_when_idle();
  /// Ends it now.
  void close_now();

 private:
  enum class Input : std::uint8_t { Bytes, Ended, Expired };
  enum class Phase : std::uint8_t { Idle, Head, Body, Answer };

  [[nodiscard]] boost::asio::awaitable<bool> serve_one();
  /// False: there is no request to answer, or it has been answered with an error.
  [[nodiscard]] boost::asio::awaitable<bool> read_head(RequestReader& reader);
  [[nodiscard]] boost::asio::awaitable<bool> read_body(RequestReader& reader);
  [[nodiscard]] boost::asio::awaitable<Input> more_input(std::size_t bytes);
  void start_reading(std::size_t bytes);

  [[nodiscard]] boost::asio::awaitable<bool> answer(const Route& route, Request& request);
  [[nodiscard]] boost::asio::awaitable<Handled> wait_for(const Later& later);
  [[nodiscard]] boost::asio::awaitable<bool> carry_out(const Route& route,
                                                       const Request& request,
                                                       Plan plan);
  [[nodiscard]] std::string next_of_stream(const Request& request,
                                           PlanInProgress& progress,
                                           bool& has_started);
  [[nodiscard]] boost::asio::awaitable<bool> send(const Request& request, Response response);
  [[nodiscard]] boost::asio::awaitable<bool> send_error(const ApiError& error);
  [[nodiscard]] boost::asio::awaitable<bool> write(std::string_view bytes);
  [[nodiscard]] boost::asio::awaitable<void> linger();

  void log_request(const Request& request, const Route* route, Clock::time_point start);

  void set_deadline(Clock::duration from_now) { deadline_ = Clock::now() + from_now; }

  std::unique_ptr<Transport> transport_;
  const Peer peer_;
  Service& service_;
  Signal signal_;
  std::string input_;    // received and not consumed
  std::string reading_;  // where a pending read puts its bytes
  bool is_reading_ = false;
  bool has_ended_ = false;  // the peer sends nothing more, or the connection failed
  bool is_expired_ = false;
  bool is_closing_ = false;   // no request after this one
  bool close_after_ = false;  // this answer is the last one
  bool is_http_1_0_ = false;
  int status_ = 0;  // of the answer under way
  Phase phase_ = Phase::Idle;
  bool is_first_ = true;
  Clock::time_point deadline_ = Clock::time_point::max();
};

}  // namespace symbiont::api

#endif  // SYMBIONT_API_CONNECTION_H_
