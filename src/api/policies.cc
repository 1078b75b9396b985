#include "api/policies.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "api/keys.h"
#include "api/openai/errors.h"

namespace symbiont::api {

Status check_exposure(const ServerSettings& settings, std::span<const Listener> listeners) {
  for (const Listener& listener : listeners) {
    if (listener.is_loopback()) continue;
    if (settings.keys_file.empty()) {
      return fail(ErrorCode::FailedPrecondition,
                  fmt::format("{} can be reached from outside this machine, and no keys are "
                              "configured: name a file with [server] keys_file or --keys, and make "
                              "a key with 'symbiont key new --keys FILE --agent NAME'; or listen "
                              "on 127.0.0.1",
                              listener.name()));
    }
    SYMBIONT_TRY(const std::vector<KeyRecord> keys, read_keys(settings.keys_file));
    if (keys.empty()) {
      return fail(
          ErrorCode::FailedPrecondition,
          fmt::format("{} can be reached from outside this machine, and '{}' holds no key: "
                      "make one with 'symbiont key new --keys {} --agent NAME'",
                      listener.name(), settings.keys_file.string(), settings.keys_file.string()));
    }
  }
  return {};
}

Policies make_policies(const ServerSettings& settings, std::span<const Listener> listeners) {
  std::vector<std::string> hosts = settings.allowed_hosts;
  if (settings.listen.has_value()) hosts.push_back(settings.listen->host);
  bool any_address = false;
  for (const Listener& listener : listeners)
    any_address = any_address || listener.is_any_address();
  IdentityRules rules;
  rules.keys_file = settings.keys_file;
  rules.default_agent = settings.default_agent;
  for (const auto& [uid, agent] : settings.unix_agents)
    rules.unix_agents.emplace(uid, agent);
  const QuotaLimits quotas{settings.quotas.requests_per_minute, settings.quotas.tokens_per_minute};
  return {.host_check = HostCheck(hosts, any_address),
          .cors = Cors(settings.cors_origins),
          .authenticator = Authenticator(std::move(rules)),
          .quotas = std::make_shared<Quotas>(quotas),
          .limits = settings.limits};
}

Result<TlsContext> make_tls_context(const TlsSettings& settings) {
  namespace ssl = boost::asio::ssl;
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  boost::system::error_code error;
  // Each returns the error that it also sets.
  (void)context->set_options(ssl::context::default_workarounds | ssl::context::no_sslv2 |
                                 ssl::context::no_sslv3 | ssl::context::no_tlsv1 |
                                 ssl::context::no_tlsv1_1,
                             error);
  const auto failed = [&error](std::string_view what, const std::filesystem::path& file) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("{} '{}': {}", what, file.string(), error.message()));
  };
  if (error) return failed("TLS", {});
  (void)context->use_certificate_chain_file(settings.certificate_file.string(), error);
  if (error) return failed("certificate", settings.certificate_file);
  (void)context->use_private_key_file(settings.private_key_file.string(), ssl::context::pem, error);
  if (error) return failed("private key", settings.private_key_file);
  return context;
}

Response openai_busy_response() {
  return openai::render_error({.kind = ErrorKind::Unavailable,
                               .message = "The server has too many connections.",
                               .code = "busy",
                               .retry_after_seconds = 1});
}

}  // namespace symbiont::api
