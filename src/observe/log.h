#ifndef SYMBIONT_OBSERVE_LOG_H_
#define SYMBIONT_OBSERVE_LOG_H_

// The log of a server: one JSON object a line. Holds what happened to whom and how long it took;
// never a prompt, an answer or a key.

#include <cstdint>
#include <string_view>

#include "symbiont/observer.h"

#include "base/mutex.h"
#include "observe/json.h"

namespace symbiont::observe {

/// Threads: any. A line that cannot be written is lost: there is nobody left to tell.
class EventLog {
 public:
  /// `fd` stays open as long as this object lives.
  explicit EventLog(int fd) : fd_(fd) {}

  // {"time": ..., "level": ..., "event": EVENT, ...fields}
  void info(std::string_view event, const Json& fields = Json::object());
  void warning(std::string_view event, const Json& fields = Json::object());
  void error(std::string_view event, const Json& fields = Json::object());

 private:
  void write(std::string_view level, std::string_view event, const Json& fields);

  const int fd_;
  Mutex mutex_;
};

/// Writes denials, restarts of workers and ends of executions to a log.
class LogObserver final : public Observer {
 public:
  /// `log` outlives this object.
  explicit LogObserver(EventLog& log) : log_(log) {}

  [[nodiscard]] bool on_access(const AccessRecord& record) override;
  void on_worker_restart(std::string_view agent, std::string_view model_id) override;
  [[nodiscard]] bool on_finished(const ExecutionMetadata& metadata,
                                 const SlmRunnerError* error) override;

 private:
  EventLog& log_;
};

}  // namespace symbiont::observe

#endif  // SYMBIONT_OBSERVE_LOG_H_
