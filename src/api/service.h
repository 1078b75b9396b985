#ifndef SYMBIONT_API_SERVICE_H_
#define SYMBIONT_API_SERVICE_H_

// What all connections of a server share, and the way of a request from its head to its handler.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <utility>

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

  std::size_t body_bytes_in_flight = 0;
  std::size_t busy_connections = 0;  ///< with a request that is not answered yet

 private:
  [[nodiscard]] std::expected<const Route*, ApiError> find_and_authorize(Request& request);

  Gateway gateway_;
  Policies policies_;
  std::shared_ptr<Doorbell> doorbell_;  // executions ring that outlive their request
  observe::EventLog* log_;
};

}  // namespace symbiont::api

#endif  // SYMBIONT_API_SERVICE_H_
