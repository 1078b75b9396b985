#include "api/middlewares/quota.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace symbiont::api {
namespace {

constexpr double kSecondsPerMinute = 60;

ApiError exceeded(std::string_view what, std::uint64_t limit, int seconds) {
  return {.kind = ErrorKind::RateLimited,
          .message = fmt::format("The limit of {} {} per minute is reached.", limit, what),
          .code = "rate_limit_exceeded",
          .retry_after_seconds = seconds};
}

}  // namespace

void MinuteBucket::refill(Clock::time_point now) {
  const double seconds = std::chrono::duration<double>(now - last_).count();
  if (seconds <= 0) return;
  level_ = std::min(per_minute_, level_ + seconds * per_minute_ / kSecondsPerMinute);
  last_ = now;
}

void MinuteBucket::spend(double amount, Clock::time_point now) {
  refill(now);
  level_ -= amount;
}

int MinuteBucket::seconds_until(double amount, Clock::time_point now) {
  refill(now);
  if (level_ >= amount) return 0;
  return static_cast<int>(std::ceil((amount - level_) * kSecondsPerMinute / per_minute_));
}

Quotas::Account& Quotas::account_of(const std::string& agent, Clock::time_point now) {
  const auto found = accounts_.find(agent);
  if (found != accounts_.end()) return found->second;
  const Account fresh{MinuteBucket(limits_.requests_per_minute, now),
                      MinuteBucket(limits_.tokens_per_minute, now)};
  return accounts_.emplace(agent, fresh).first->second;
}

std::optional<ApiError> Quotas::take_request(const std::string& agent, Clock::time_point now) {
  if (limits_.requests_per_minute == 0 && limits_.tokens_per_minute == 0) return std::nullopt;
  const MutexLock lock(mutex_);
  Account& account = account_of(agent, now);
  if (limits_.tokens_per_minute != 0) {
    // One token has to be there: what the request will cost is not known yet.
    const int wait = account.tokens.seconds_until(1, now);
    if (wait > 0) return exceeded("tokens", limits_.tokens_per_minute, wait);
  }
  if (limits_.requests_per_minute != 0) {
    const int wait = account.requests.seconds_until(1, now);
    if (wait > 0) return exceeded("requests", limits_.requests_per_minute, wait);
    account.requests.spend(1, now);
  }
  return std::nullopt;
}

void Quotas::spend_tokens(const std::string& agent, std::uint64_t tokens, Clock::time_point now) {
  if (limits_.tokens_per_minute == 0) return;
  const MutexLock lock(mutex_);
  account_of(agent, now).tokens.spend(static_cast<double>(tokens), now);
}

}  // namespace symbiont::api
