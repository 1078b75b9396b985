#ifndef SYMBIONT_CMD_SYMBIONT_SANDBOX_FIELDS_H_
#define SYMBIONT_CMD_SYMBIONT_SANDBOX_FIELDS_H_

// Fields of a sandbox profile from the command line: --set and its shorthands.

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "symbiont/sandbox_profile.h"

#include "cmd/symbiont/exit_codes.h"

namespace symbiont::cli {

/// Applies "FIELD=VALUE" to `profile`. FIELD is any field of a profile of the configuration, VALUE
/// is TOML as it stands there: `filesystem.read_paths=["/data"]`; a bare word is a string. Ranges
/// are the configuration's.
[[nodiscard]] std::expected<void, Failure> set_any_field(SandboxProfile& profile,
                                                         std::string_view assignment);

/// Applies all values of --net: one of "none" and "full", or any number of HOST:PORT[/PROTOCOL]
/// (an IPv6 address in brackets). Without a protocol it follows from the port: 443 https, 80 http,
/// else tcp. Destinations are added to those of a profile that is Restricted already.
[[nodiscard]] std::expected<void, Failure> apply_network(SandboxProfile& profile,
                                                         const std::vector<std::string>& values);

/// `text` as a path of this host: absolute, without "." and "..". A failure names `option`.
[[nodiscard]] std::expected<std::filesystem::path, Failure> absolute_path(std::string_view option,
                                                                          const std::string& text);

}  // namespace symbiont::cli

#endif  // SYMBIONT_CMD_SYMBIONT_SANDBOX_FIELDS_H_
