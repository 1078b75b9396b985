#ifndef SYMBIONT_API_MIDDLEWARES_AUTHENTICATE_H_
#define SYMBIONT_API_MIDDLEWARES_AUTHENTICATE_H_

// As which agent a request is served: by its key, by the user at the other end of a Unix socket,
// or, where no keys are configured, as the default agent of this machine.

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "api/api_error.h"
#include "api/http.h"
#include "api/keys.h"

namespace symbiont::api {

struct IdentityRules {
  std::filesystem::path keys_file;  ///< empty: no keys; TCP callers are default_agent
  std::string default_agent = "default";
  std::map<uid_t, std::string> unix_agents{};  ///< others are "uid:N"
};

/// Not thread-safe.
class Authenticator {
 public:
  explicit Authenticator(IdentityRules rules);

  /// Who this is. Unauthenticated when a key is needed and there is none that counts.
  [[nodiscard]] std::expected<Identity, ApiError> identify(const Request& request,
                                                           std::int64_t now);
  [[nodiscard]] bool wants_keys() const { return keys_.has_value(); }
  /// For the log.
  [[nodiscard]] std::optional<Error> take_problem();

 private:
  [[nodiscard]] std::expected<Identity, ApiError> by_key(std::string_view key, std::int64_t now);
  [[nodiscard]] Identity by_uid(uid_t uid) const;

  IdentityRules rules_;
  std::optional<KeyStore> keys_;
};

/// Forbidden, unless the identity has the scope.
[[nodiscard]] std::optional<ApiError> check_scope(const Identity& identity, Scope needed);

}  // namespace symbiont::api

#endif  // SYMBIONT_API_MIDDLEWARES_AUTHENTICATE_H_
