#include "api/middlewares/authenticate.h"

#include <unistd.h>

#include <utility>

#include <fmt/format.h>

namespace symbiont::api {
namespace {

ApiError unauthenticated(std::string message) {
  return {.kind = ErrorKind::Unauthenticated,
          .message = std::move(message),
          .code = "invalid_api_key",
          .headers = {{"WWW-Authenticate", "Bearer"}}};
}

/// The key of "Authorization: Bearer KEY" or "x-api-key: KEY"; empty when there is none.
std::string_view presented_key(const Request& request) {
  constexpr std::string_view kBearer = "bearer ";
  const std::string_view authorization = request.header("authorization");
  if (authorization.size() > kBearer.size() &&
      equals_ignoring_case(authorization.substr(0, kBearer.size()), kBearer)) {
    return authorization.substr(kBearer.size());
  }
  return authorization.empty() ? request.header("x-api-key") : std::string_view();
}

}  // namespace

Authenticator::Authenticator(IdentityRules rules) : rules_(std::move(rules)) {
  if (!rules_.keys_file.empty()) keys_.emplace(rules_.keys_file);
}

std::expected<Identity, ApiError> Authenticator::identify(const Request& request,
                                                          std::int64_t now) {
  // Two keys in one request: whichever we took, somebody else might take the other one.
  if (request.count_headers("authorization") + request.count_headers("x-api-key") > 1 &&
      keys_.has_value()) {
    return std::unexpected(unauthenticated("More than one API key was given."));
  }
  const std::string_view key = presented_key(request);
  // A key decides also on a Unix socket. Without keys whatever a client sends as one means nothing.
  if (keys_.has_value() && (!key.empty() || !request.peer.is_unix)) return by_key(key, now);
  if (request.peer.is_unix) return by_uid(request.peer.uid);
  return Identity{.agent = rules_.default_agent,
                  .scopes = Scopes().with(Scope::Inference).with(Scope::Read),
                  .key_id = {}};
}

std::expected<Identity, ApiError> Authenticator::by_key(std::string_view key, std::int64_t now) {
  if (key.empty()) {
    return std::unexpected(unauthenticated(
        "An API key is needed: send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'."));
  }
  const auto found = keys_->find(key, now);
  if (found.has_value()) return Identity{found->agent, found->scopes, found->id};
  switch (found.error()) {
    case KeyStore::Refused::Unknown:
      return std::unexpected(unauthenticated("This API key is not valid."));
    case KeyStore::Refused::Expired:
      return std::unexpected(unauthenticated("This API key has expired."));
    case KeyStore::Refused::Unreadable:
      break;
  }
  return std::unexpected(ApiError{.kind = ErrorKind::Unavailable,
                                  .message = "API keys cannot be checked at the moment.",
                                  .code = "keys_unavailable"});
}

Identity Authenticator::by_uid(uid_t uid) const {
  const auto found = rules_.unix_agents.find(uid);
  Identity identity{
      .agent = found == rules_.unix_agents.end() ? fmt::format("uid:{}", uid) : found->second,
      .scopes = Scopes().with(Scope::Inference).with(Scope::Read),
      .key_id = {}};
  // Whoever could stop this process anyway may administer it.
  if (uid == 0 || uid == ::geteuid()) identity.scopes = Scopes::all();
  return identity;
}

std::optional<Error> Authenticator::take_problem() {
  return keys_.has_value() ? keys_->take_problem() : std::nullopt;
}

std::optional<ApiError> check_scope(const Identity& identity, Scope needed) {
  if (identity.scopes.has(needed)) return std::nullopt;
  const std::string name = to_string(Scopes().with(needed));
  return ApiError{.kind = ErrorKind::Forbidden,
                  .message = fmt::format("This needs the scope '{}', which you do not have.", name),
                  .code = "insufficient_scope"};
}

}  // namespace symbiont::api
