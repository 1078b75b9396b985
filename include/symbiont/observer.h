#ifndef SYMBIONT_OBSERVER_H_
#define SYMBIONT_OBSERVER_H_

#include <string>
#include <string_view>

#include "symbiont/catalog_error.h"
#include "symbiont/execution.h"
#include "symbiont/runner_error.h"

namespace symbiont {

/// Who wants what, as decided by the access check.
struct AccessRecord {
  std::string_view agent;
  std::string_view model_id;
  std::string_view profile;                   ///< empty when refused before a profile was known
  const ModelCatalogError* denied = nullptr;  ///< null: granted
};

/// Is told about every decision and every execution, by the Engine only. Never sees a prompt or an
/// answer. Threads: called from many at once.
class Observer {
 public:
  Observer() = default;
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;
  virtual ~Observer() = default;

  /// Before anything runs. Returning false says that the record could not be written: the execution
  /// does not start when its profile has enable_audit_logging.
  [[nodiscard]] virtual bool on_access(const AccessRecord& record) = 0;
  /// A worker was started in the place of one that had ended, for an execution of this agent.
  virtual void on_worker_restart(std::string_view agent, std::string_view model_id) {
    (void)agent;  // who counts no restarts need not know of them
    (void)model_id;
  }
  /// After an execution; `error` is null when it succeeded. `metadata` is the result's or the
  /// error's. Returning false takes the answer back, as above.
  [[nodiscard]] virtual bool on_finished(const ExecutionMetadata& metadata,
                                         const SlmRunnerError* error) = 0;
};

}  // namespace symbiont

#endif  // SYMBIONT_OBSERVER_H_
