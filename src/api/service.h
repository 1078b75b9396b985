#ifndef SYMBIONT_API_SERVICE_H_
#define SYMBIONT_API_SERVICE_H_

// What all connections of a server share, and the way of a request from its head to its handler.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include "symbiont/slm.h"

#include "api/doorbell.h"
#include "api/gateway.h"
#include "api/http.h"
#include "api/middlewares/authenticate.h"
#include "api/middlewares/cors.h"
#include "api/middlewares/host_check.h"
#include "api/middlewares/quota.h"
#include "api/routes.h"
#include "observe/log.h"

namespace symbiont::api {

/// Request bodies being received, of all connections together.
inline constexpr std::size_t kMaxBodyBytesInFlight = std::size_t{256} << 20U;

/// What may change while the server runs.
struct Policies {
  HostCheck host_check;
  Cors cors;
  Authenticator authenticator;
  std::shared_ptr<Quotas> quotas;  ///< executions that outlive their request are counted, too
  ServerLimits limits;
};

/// One object a server. For the loop's thread only.
class Service {
 public:
  Service(Gateway gateway,
          Policies policies,
          std::shared_ptr<Doorbell> doorbell,
          observe::EventLog& log)
      : gateway_(std::move(gateway)),
        policies_(std::move(policies)),
        doorbell_(std::move(doorbell)),
        log_(&log) {}

  /// Everything that is asked before the body is read. Fills in the request's id, identity and path
  /// parameter. The error is the answer.
  [[nodiscard]] std::expected<const Route*, Response> admit(Request& request);
  /// Adds what every answer to `request` carries.
  void decorate(const Request& request, Response& response) const;

  [[nodiscard]] Gateway& gateway() { return gateway_; }
  [[nodiscard]] const ServerLimits& limits() const { return policies_.limits; }
  [[nodiscard]] std::shared_ptr<Quotas> quotas() const { return policies_.quotas; }
  [[nodiscard]] const std::shared_ptr<Doorbell>& doorbell() const { return doorbell_; }
  [[nodiscard]] observe::EventLog& log() { return *log_; }
  void set_policies(Policies policies);
  /// Calls `work` on a thread beside the loop, one after the other, and then, on `loop`, `done`
  /// with what it gave back.
  template <typename Work, typename Done>
  void run_aside(boost::asio::any_io_executor loop, Work work, Done done) {
    boost::asio::post(*aside_,
                      [loop = std::move(loop), work = std::move(work), done = std::move(done)] {
                        boost::asio::post(loop, [done, value = work()] { done(value); });
                      });
  }
  /// Waits for what runs aside, which tells the loop: before the loop goes away.
  void end_aside() { aside_->join(); }

  std::size_t body_bytes_in_flight = 0;
  std::size_t busy_connections = 0;  ///< with a request that is not answered yet

 private:
  [[nodiscard]] std::expected<const Route*, ApiError> find_and_authorize(Request& request);

  Gateway gateway_;
  Policies policies_;
  std::shared_ptr<Doorbell> doorbell_;  // executions ring that outlive their request
  observe::EventLog* log_;
  std::unique_ptr<boost::asio::thread_pool> aside_ = std::make_unique<boost::asio::thread_pool>(1);
};

}  // namespace symbiont::api

#endif  // SYMBIONT_API_SERVICE_H_
