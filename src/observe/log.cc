#include "observe/log.h"

#include <chrono>
#include <ctime>
#include <string>

#include <fmt/format.h>

#include "base/file.h"

namespace symbiont::observe {
namespace {

/// "2026-01-31T23:59:59.123Z"
std::string timestamp() {
  using namespace std::chrono;  // NOLINT(google-build-using-namespace): one function
  const auto now = floor<milliseconds>(system_clock::now());
  const std::time_t seconds = system_clock::to_time_t(now);
  std::tm utc{};
  if (::gmtime_r(&seconds, &utc) == nullptr) return {};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                     now.time_since_epoch().count() % 1000);
}

}  // namespace

void EventLog::info(std::string_view event, const Json& fields) {
  write("info", event, fields);
}
void EventLog::warning(std::string_view event, const Json& fields) {
  write("warning", event, fields);
}
void EventLog::error(std::string_view event, const Json& fields) {
  write("error", event, fields);
}

void EventLog::write(std::string_view level, std::string_view event, const Json& fields) {
  Json line = {{"time", timestamp()}, {"level", level}, {"event", event}};
  line.update(fields);
  const std::string text = dump(line) + "\n";
  const MutexLock lock(mutex_);
  (void)write_all(fd_, text, "the log").has_value();  // see the class
}

bool LogObserver::on_access(const AccessRecord& record) {
  if (record.denied == nullptr) return true;
  log_.warning("denied", {{"agent", std::string(record.agent)},
                          {"model", std::string(record.model_id)},
                          {"reason", record.denied->message()}});
  return true;
}

void LogObserver::on_worker_restart(std::string_view agent, std::string_view model_id) {
  log_.warning("worker_restarted", {{"agent", agent}, {"model", model_id}});
}

bool LogObserver::on_finished(const ExecutionMetadata& metadata, const SlmRunnerError* error) {
  Json fields = {{"execution_id", metadata.execution_id},
                 {"agent", metadata.agent},
                 {"model", metadata.model_id},
                 {"profile", metadata.profile},
                 {"outcome", error == nullptr ? "ok" : std::string(error->kind())},
                 {"finish_reason", metadata.finish_reason},
                 {"prompt_tokens", metadata.usage.prompt_tokens},
                 {"completion_tokens", metadata.usage.completion_tokens},
                 {"cached_tokens", metadata.usage.cached_tokens},
                 {"queue_ms", metadata.timing.queue_ms},
                 {"load_ms", metadata.timing.load_ms},
                 {"first_token_ms", metadata.timing.first_token_ms},
                 {"total_ms", metadata.timing.total_ms},
                 {"verdict", std::string(to_string(metadata.verdict.kind))}};
  if (error == nullptr) {
    log_.info("execution", fields);
  } else {
    fields["message"] = error->message();
    log_.warning("execution", fields);
  }
  return true;
}

}  // namespace symbiont::observe
