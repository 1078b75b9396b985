#ifndef SYMBIONT_OBSERVE_LOG_H_
#define SYMBIONT_OBSERVE_LOG_H_

// The log of a server: one JSON object a line. Holds what happened to whom and how long it took;
// never a prompt, an answer or a key.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>

#include "symbiont/observer.h"

#include "base/mutex.h"
#include "observe/json.h"

namespace symbiont::observe {

/// Lines that wait for a reader of the log who is slow; those beyond are lost.
inline constexpr std::size_t kMaxWaitingLogBytes = std::size_t{1} << 20U;
/// For what waits at the end, while nobody reads.
inline constexpr std::chrono::milliseconds kLastLogPatience{500};

/// Threads: any. Nobody waits for who reads the log: a thread of its own writes. Lines that are
/// lost, because too many wait or the disk is full, are counted in a line of their own
/// ("log_lines_lost") beside the next ones that can be written. What still waits after
/// kLastLogPatience is lost without a word: there is nobody left to tell.
class EventLog {
 public:
  /// `fd` stays open as long as this object lives.
  explicit EventLog(int fd);
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;
  /// Writes what waits, with kLastLogPatience at most.
  ~EventLog();

  // {"time": ..., "level": ..., "event": EVENT, ...fields}
  void info(std::string_view event, const Json& fields = Json::object());
  void warning(std::string_view event, const Json& fields = Json::object());
  void error(std::string_view event, const Json& fields = Json::object());
  /// For a process that ends without destructors: as ~EventLog(), and nothing can be told after.
  void close();

 private:
  void write(std::string_view level, std::string_view event, const Json& fields);
  void write_waiting();
  [[nodiscard]] bool write_out(std::string_view text);
  void lose(std::string_view rest);
  [[nodiscard]] bool is_patient();

  const int fd_;
  Mutex mutex_;
  CondVar changed_;
  std::string waiting_ SYMBIONT_GUARDED_BY(mutex_);  // whole lines
  std::uint64_t lost_ SYMBIONT_GUARDED_BY(mutex_) = 0;
  bool is_closing_ SYMBIONT_GUARDED_BY(mutex_) = false;
  std::chrono::steady_clock::time_point give_up_ SYMBIONT_GUARDED_BY(mutex_);  // once it is closing
  // The writer's:
  bool is_line_torn_ = false;  // the last byte written ends no line
  std::uint64_t telling_ = 0;  // lost lines that the text under way tells of
  std::jthread writer_;
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
