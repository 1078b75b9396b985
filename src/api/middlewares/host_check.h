#ifndef SYMBIONT_API_MIDDLEWARES_HOST_CHECK_H_
#define SYMBIONT_API_MIDDLEWARES_HOST_CHECK_H_

// Keeps web pages out that made their own name resolve to this machine (DNS rebinding): a browser
// says in Host which name it was given.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/api_error.h"
#include "api/http.h"

namespace symbiont::api {

/// The name of "NAME", "NAME:PORT", "[IPV6]" or "[IPV6]:PORT", in lower case and without a dot at
/// the end; nullopt when it is none of these.
[[nodiscard]] std::optional<std::string> host_name(std::string_view host);

/// localhost, *.localhost, 127.0.0.0/8, ::1
[[nodiscard]] bool is_loopback_name(std::string_view name);

class HostCheck {
 public:
  /// `allowed`: what Host may be beside a loopback name. Listening on an unspecified address
  /// (0.0.0.0, ::) lets every IP address pass, which no name can be rebound to.
  HostCheck(const std::vector<std::string>& allowed, bool any_address);

  [[nodiscard]] std::optional<ApiError> check(const Request& request) const;

 private:
  std::vector<std::string> allowed_;
  bool any_address_;
};

}  // namespace symbiont::api

#endif  // SYMBIONT_API_MIDDLEWARES_HOST_CHECK_H_
