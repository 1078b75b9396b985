#ifndef SYMBIONT_SANDBOX_PLAIN_CONTROLS_H_
#define SYMBIONT_SANDBOX_PLAIN_CONTROLS_H_

// What is left of the controls where no namespace can be made.

#include <string>
#include <utility>

#include "symbiont/sandbox.h"

#include "sandbox/policy.h"
#include "sandbox/start.h"

namespace symbiont::sandbox {

[[nodiscard]] inline Control enforced(std::string mechanism) {
  return {ControlState::Enforced, std::move(mechanism), {}};
}
[[nodiscard]] inline Control degraded(std::string reason, std::string remedy) {
  return {ControlState::Degraded, std::move(reason), std::move(remedy)};
}
[[nodiscard]] inline Control unavailable(std::string reason, std::string remedy) {
  return {ControlState::Unavailable, std::move(reason), std::move(remedy)};
}

/// Replaces the rows of `report` that namespaces hold. Degraded: what stands alone now;
/// Unavailable: nothing holds it.
void replace_by_plain_rows(const Policy& policy, const HostFacts& host, ControlReport& report);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_PLAIN_CONTROLS_H_
