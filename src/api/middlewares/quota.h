#ifndef SYMBIONT_API_MIDDLEWARES_QUOTA_H_
#define SYMBIONT_API_MIDDLEWARES_QUOTA_H_

// How much an agent may ask for in a minute: requests, and tokens of prompts and answers.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "api/api_error.h"
#include "base/mutex.h"

namespace symbiont::api {

struct QuotaLimits {
  std::uint64_t requests_per_minute = 0;  ///< 0 = no limit
  std::uint64_t tokens_per_minute = 0;    ///< 0 = no limit
  bool operator==(const QuotaLimits&) const = default;
};

/// A minute's worth at once, refilled evenly. May go into debt: what an execution has used is known
/// only when it has ended.
class MinuteBucket {
 public:
  using Clock = std::chrono::steady_clock;
  MinuteBucket(std::uint64_t per_minute, Clock::time_point now)
      : per_minute_(static_cast<double>(per_minute)), level_(per_minute_), last_(now) {}

  void spend(double amount, Clock::time_point now);
  /// Seconds until `amount` is there; 0 when it is.
  [[nodiscard]] int seconds_until(double amount, Clock::time_point now);

 private:
  void refill(Clock::time_point now);

  double per_minute_;
  double level_;
  Clock::time_point last_;
};

/// Threads: any.
class Quotas {
 public:
  using Clock = std::chrono::steady_clock;
  explicit Quotas(QuotaLimits limits) : limits_(limits) {}

  [[nodiscard]] const QuotaLimits& limits() const { return limits_; }

  /// Counts a request of `agent`, or says when it may come again.
  [[nodiscard]] std::optional<ApiError> take_request(const std::string& agent,
                                                     Clock::time_point now);
  void spend_tokens(const std::string& agent, std::uint64_t tokens, Clock::time_point now);

 private:
  struct Account {
    MinuteBucket requests;
    MinuteBucket tokens;
  };
  Account& account_of(const std::string& agent, Clock::time_point now) SYMBIONT_REQUIRES(mutex_);

  const QuotaLimits limits_;
  Mutex mutex_;
  std::map<std::string, Account> accounts_
      SYMBIONT_GUARDED_BY(mutex_);  // of agents the configuration or a key names
};

}  // namespace symbiont::api

#endif  // SYMBIONT_API_MIDDLEWARES_QUOTA_H_
