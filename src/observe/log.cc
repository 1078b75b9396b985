#include "observe/log.h"

#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

#include <fmt/format.h>

namespace symbiont::observe {
namespace {

using std::chrono::steady_clock;

/// How often a write that nobody takes looks whether the log is being closed.
constexpr std::chrono::milliseconds kWriteSlice{50};

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

std::string to_line(std::string_view level, std::string_view event, const Json& fields) {
  Json line = {{"time", timestamp()}, {"level", level}, {"event", event}};
  line.update(fields);
  return dump(line) + "\n";
}

}  // namespace

EventLog::EventLog(int fd) : fd_(fd), writer_([this] { write_waiting(); }) {}

EventLog::~EventLog() {
  close();
}

void EventLog::close() {
  {
    const MutexLock lock(mutex_);
    is_closing_ = true;
    give_up_ = steady_clock::now() + kLastLogPatience;
    changed_.notify_one();
  }
  if (writer_.joinable()) writer_.join();
}

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
  const std::string line = to_line(level, event, fields);
  const MutexLock lock(mutex_);
  if (waiting_.size() + line.size() > kMaxWaitingLogBytes) {
    ++lost_;
    return;
  }
  waiting_ += line;
  changed_.notify_one();
}

// The writer -------------------------------------------------------------------------------------

void EventLog::write_waiting() {
  bool works = true;
  while (works) {
    std::string text = is_line_torn_ ? "\n" : "";
    {
      const MutexLock lock(mutex_);
      while (waiting_.empty() && !is_closing_)
        changed_.wait(mutex_);
      if (waiting_.empty()) return;
      text += std::exchange(waiting_, {});
      telling_ = std::exchange(lost_, 0);
      if (telling_ > 0) text += to_line("warning", "log_lines_lost", {{"lines", telling_}});
    }
    works = write_out(text);
  }
}

/// False once the log is closing and nobody takes it. Never waits within write(2): a pipe that can
/// be written takes PIPE_BUF bytes.
bool EventLog::write_out(std::string_view text) {
  while (!text.empty()) {
    pollfd entry{.fd = fd_, .events = POLLOUT, .revents = 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(kWriteSlice.count()));
    if (ready <= 0) {
      if (!is_patient()) return false;
      continue;
    }
    const ssize_t written = ::write(fd_, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
    if (written > 0) {
      is_line_torn_ = text[static_cast<std::size_t>(written) - 1] != '\n';
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR && errno != EAGAIN) {
      lose(text);  // a full disk, a reader that has gone: the next lines may have more luck
      return true;
    }
  }
  return true;
}

/// `rest` of a text could not be written, and with it its last line, if that told of lost ones.
void EventLog::lose(std::string_view rest) {
  if (rest.starts_with('\n')) rest.remove_prefix(1);  // the end of a line that is there or counted
  auto lines = static_cast<std::uint64_t>(std::ranges::count(rest, '\n'));
  if (telling_ > 0) lines += telling_ - 1;
  const MutexLock lock(mutex_);
  lost_ += lines;
}

bool EventLog::is_patient() {
  const MutexLock lock(mutex_);
  return !is_closing_ || steady_clock::now() < give_up_;
}

// LogObserver ------------------------------------------------------------------------------------

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
