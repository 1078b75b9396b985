#ifndef SYMBIONT_RUNNERS_CONFORMANCE_CHECKS_H_
#define SYMBIONT_RUNNERS_CONFORMANCE_CHECKS_H_

#include <span>
#include <string_view>

#include "runners/conformance_kit.h"

namespace symbiont::conformance {

/// One rule of the protocol and how it is looked at.
struct Check {
  std::string_view name;
  std::string_view rule;
  std::string_view needs;  ///< the check without whose Ok this one shows nothing; empty: none
  Finding (*look)(Kit& kit);
};

/// All checks; what a check needs stands before it.
[[nodiscard]] std::span<const Check> all_checks();

}  // namespace symbiont::conformance

#endif  // SYMBIONT_RUNNERS_CONFORMANCE_CHECKS_H_
