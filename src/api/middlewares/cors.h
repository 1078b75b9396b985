#ifndef SYMBIONT_API_MIDDLEWARES_CORS_H_
#define SYMBIONT_API_MIDDLEWARES_CORS_H_

// Web pages of other origins: off unless configured. Their requests are refused, not only kept from
// reading the answer: a POST without a preflight has its effect.

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "api/api_error.h"
#include "api/http.h"

namespace symbiont::api {

class Cors {
 public:
  /// `origins`: "https://app.example", exactly as browsers write it.
  explicit Cors(std::vector<std::string> origins) : origins_(std::move(origins)) {}

  /// A refusal, the answer to a preflight, or nothing.
  [[nodiscard]] std::variant<std::monostate, ApiError, Response> check(
      const Request& request) const;
  /// What an answer to `request` has to carry so that an allowed page may read it.
  [[nodiscard]] std::vector<Header> headers_for(const Request& request) const;

 private:
  [[nodiscard]] bool allows(std::string_view origin) const;

  std::vector<std::string> origins_;
};

}  // namespace symbiont::api

#endif  // SYMBIONT_API_MIDDLEWARES_CORS_H_
