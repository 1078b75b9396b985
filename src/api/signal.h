#ifndef SYMBIONT_API_SIGNAL_H_
#define SYMBIONT_API_SIGNAL_H_

#include <chrono>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace symbiont::api {

/// Lets one coroutine wait until something has happened. A notice before wait() counts. For the
/// loop's thread only.
class Signal {
 public:
  explicit Signal(const boost::asio::any_io_executor& executor)
      : timer_(executor, std::chrono::steady_clock::time_point::max()) {}

  void notify() {
    is_set_ = true;
    (void)timer_.cancel();  // how many were waiting does not matter
  }
  boost::asio::awaitable<void> wait() {
    while (!is_set_) {
      (void)co_await timer_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    }
    is_set_ = false;
  }

 private:
  boost::asio::steady_timer timer_;
  bool is_set_ = false;
};

}  // namespace symbiont::api

#endif  // SYMBIONT_API_SIGNAL_H_
