#ifndef SYMBIONT_CONFIG_ADDRESS_H_
#define SYMBIONT_CONFIG_ADDRESS_H_

#include <optional>
#include <string>
#include <string_view>

#include "symbiont/slm.h"

#include "base/result.h"

namespace symbiont::config {

/// What is wrong with `host` as an exact host name or IP address (no wildcards, no brackets), or
/// nothing.
[[nodiscard]] std::optional<std::string> find_host_problem(std::string_view host);

/// "HOST:PORT" or "[IPV6]:PORT".
[[nodiscard]] Result<ListenAddress> parse_listen_address(std::string_view text);

/// What is wrong with `url` as the address of a service (http or https, a host, no user name), or
/// nothing.
[[nodiscard]] std::optional<std::string> find_url_problem(std::string_view url);

}  // namespace symbiont::config

#endif  // SYMBIONT_CONFIG_ADDRESS_H_
