#ifndef SYMBIONT_OBSERVE_NULL_OBSERVER_H_
#define SYMBIONT_OBSERVE_NULL_OBSERVER_H_

#include "symbiont/observer.h"

namespace symbiont::observe {

/// Looks away.
class NullObserver final : public Observer {
 public:
  [[nodiscard]] bool on_access(const AccessRecord&) override { return true; }
  [[nodiscard]] bool on_finished(const ExecutionMetadata&, const SlmRunnerError*) override {
    return true;
  }
};

}  // namespace symbiont::observe

#endif  // SYMBIONT_OBSERVE_NULL_OBSERVER_H_
