#ifndef SYMBIONT_API_POLICIES_H_
#define SYMBIONT_API_POLICIES_H_

// From the configuration to what the server works with.

#include <span>

#include "symbiont/slm.h"

#include "api/listener.h"
#include "api/service.h"
#include "api/transport.h"
#include "base/result.h"

namespace symbiont::api {

/// FailedPrecondition, with the next step, when an address that others can reach would serve them
/// without keys.
[[nodiscard]] Status check_exposure(const ServerSettings& settings,
                                    std::span<const Listener> listeners);

[[nodiscard]] Policies make_policies(const ServerSettings& settings,
                                     std::span<const Listener> listeners);

/// Reads certificate and key; the error names the file.
[[nodiscard]] Result<TlsContext> make_tls_context(const TlsSettings& settings);

/// What a connection above the limit is told.
[[nodiscard]] Response openai_busy_response();

}  // namespace symbiont::api

#endif  // SYMBIONT_API_POLICIES_H_
