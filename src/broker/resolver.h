#ifndef SYMBIONT_BROKER_RESOLVER_H_
#define SYMBIONT_BROKER_RESOLVER_H_

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "broker/address.h"

namespace symbiont::broker {

/// From a name to its addresses. It is only ever asked for names that the profile lists.
class Resolver {
 public:
  Resolver() = default;
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;
  virtual ~Resolver() = default;

  /// May block for as long as it likes. Called from several threads at once, also after the broker
  /// is gone; whoever calls keeps the resolver alive. Errors: NotFound (no such name), Unavailable.
  [[nodiscard]] virtual Result<std::vector<Address>> resolve(const std::string& name) = 0;
};

/// The resolver of the C library: /etc/hosts, DNS, whatever the host is configured for.
[[nodiscard]] std::unique_ptr<Resolver> system_resolver();

}  // namespace symbiont::broker

#endif  // SYMBIONT_BROKER_RESOLVER_H_
