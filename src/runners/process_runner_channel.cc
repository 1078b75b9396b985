#include "runners/process_runner_channel.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/result.h"
#include "runners/process_runner_protocol.h"
#include "runners/utf8.h"

namespace symbiont {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::uint64_t kProgramSeconds = 315'360'000;  // ten years: executions have the limit
constexpr std::size_t kReadBytes = std::size_t{64} << 10U;
// An engine may fill standard error as fast as it likes; it waits, and we do not spin.
constexpr milliseconds kDrainInterval{5};

SandboxError setup_failed(const char* what) {
  const int number = errno;
  SandboxError error;
  error.message = errno_error(what, number).message();
  error.verdict.step = what;
  error.verdict.sys_errno = number;
  return error;
}

/// A pipe whose read end, ours, does not block.
bool make_pipe(UniqueFd& ours, UniqueFd& theirs) {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return false;
  ours.reset(ends[0]);
  theirs.reset(ends[1]);
  return ::fcntl(ours.get(), F_SETFL, O_NONBLOCK) == 0;
}

}  // namespace

std::expected<std::unique_ptr<EngineChannel>, SandboxError> EngineChannel::start(
    const std::shared_ptr<SandboxHost>& host,
    SandboxProfile profile,
    const SandboxCommand& command,
    SandboxOptions options) {
  std::unique_ptr<EngineChannel> channel(new EngineChannel());
  std::array<int, 2> sockets{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0)
    return std::unexpected(setup_failed("socketpair for an engine"));
  channel->input_.reset(sockets[0]);
  const UniqueFd their_input(sockets[1]);
  (void)::shutdown(sockets[0], SHUT_RD);  // cannot fail: it is connected
  UniqueFd their_output;
  UniqueFd their_errors;
  if (!make_pipe(channel->output_, their_output) || !make_pipe(channel->errors_, their_errors))
    return std::unexpected(setup_failed("pipe for an engine"));
  channel->wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!channel->wake_.is_valid()) return std::unexpected(setup_failed("eventfd for an engine"));

  profile.process_limits.max_execution_time_seconds = kProgramSeconds;
  options.stdin_fd = their_input.get();
  options.stdout_fd = their_output.get();
  options.stderr_fd = their_errors.get();
  SYMBIONT_TRY(channel->program_, SandboxedProgram::start(host, profile, command, options));
  return channel;
}

EngineChannel::~EngineChannel() = default;

EngineChannel::What EngineChannel::wait(int fd,
                                        short events,
                                        TimePoint deadline,
                                        const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] { (void)::eventfd_write(wake_.get(), 1); });
  const int watched = stop.stop_possible() ? wake_.get() : -1;
  while (true) {
    if (stop.stop_requested()) return What::Stopped;
    const auto now = steady_clock::now();
    if (now >= deadline) return What::Time;
    const bool drain = errors_.is_valid() && now >= next_drain_;
    const auto until = errors_.is_valid() && !drain ? std::min(deadline, next_drain_) : deadline;
    const auto left = std::chrono::ceil<milliseconds>(until - now).count();
    std::array<pollfd, 3> entries{
        {{fd, events, 0}, {drain ? errors_.get() : -1, POLLIN, 0}, {watched, POLLIN, 0}}};
    const int timeout_ms = static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000));
    if (::poll(entries.data(), entries.size(), timeout_ms) <= 0) continue;
    if (entries[1].revents != 0) drain_stderr();
    if (entries[0].revents != 0) return What::Line;
    if (entries[2].revents != 0) {  // this stop, or an earlier one
      std::uint64_t drained = 0;
      (void)::eventfd_read(wake_.get(), &drained);
    }
  }
}

void EngineChannel::drain_stderr() {
  std::array<char, kReadBytes> bytes{};
  const ssize_t count = ::read(errors_.get(), bytes.data(), bytes.size());
  if (count == 0) errors_.reset();
  if (count <= 0) return;
  next_drain_ = steady_clock::now() + kDrainInterval;
  tail_.append(bytes.data(), static_cast<std::size_t>(count));
  if (tail_.size() > kStderrTailBytes) tail_.erase(0, tail_.size() - kStderrTailBytes);
}

bool EngineChannel::take_line(std::string& into) {
  const std::size_t end = buffer_.find('\n', searched_);
  searched_ = end == std::string::npos ? buffer_.size() : 0;
  if (end == std::string::npos) return false;
  into = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  return true;
}

EngineChannel::Event EngineChannel::next_line(TimePoint deadline,
                                              const std::stop_token& stop_token) {
  Event event;
  while (true) {
    // Looked at here, too: an engine that always has something to say must not outrun it.
    if (stop_token.stop_requested()) return {What::Stopped, {}};
    if (take_line(event.line)) {
      event.what = event.line.size() > engine_protocol::kMaxLineBytes ? What::TooLong : What::Line;
      return event;
    }
    if (buffer_.size() > engine_protocol::kMaxLineBytes || exchanged_ > kMaxExchangeBytes)
      return {What::TooLong, {}};
    if (const What found = wait(output_.get(), POLLIN, deadline, stop_token); found != What::Line)
      return {found, {}};
    std::array<char, kReadBytes> bytes{};
    const ssize_t count = ::read(output_.get(), bytes.data(), bytes.size());
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (count <= 0) return {What::End, {}};
    exchanged_ += static_cast<std::size_t>(count);
    buffer_.append(bytes.data(), static_cast<std::size_t>(count));
  }
}

EngineChannel::What EngineChannel::send(std::string_view bytes,
                                        TimePoint deadline,
                                        const std::stop_token& stop_token) {
  while (!bytes.empty()) {
    const ssize_t sent =
        ::send(input_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      const What found = wait(input_.get(), POLLOUT, deadline, stop_token);
      if (found != What::Line) return found;
    } else if (errno != EINTR) {
      return What::End;
    }
  }
  return What::Line;
}

void EngineChannel::close_input() {
  input_.reset();
}

bool EngineChannel::has_output() const {
  if (!buffer_.empty()) return true;
  pollfd entry{output_.get(), POLLIN, 0};
  return ::poll(&entry, 1, 0) > 0;
}

std::string EngineChannel::stderr_tail() {
  constexpr int kMostReads = 16;  // 64 KiB is what a pipe holds
  for (int i = 0; i < kMostReads && errors_.is_valid(); ++i) {
    pollfd entry{errors_.get(), POLLIN, 0};
    if (::poll(&entry, 1, 0) <= 0) break;
    drain_stderr();
  }
  std::string text = tail_;
  while (text.ends_with('\n'))
    text.pop_back();
  std::ranges::replace(text, '\n', ' ');
  return printable(text, kStderrTailBytes);
}

}  // namespace symbiont
