#include "cmd/symbiont/sandbox_relay.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <utility>

namespace symbiont::cli {
namespace {

using std::chrono::steady_clock;

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
constexpr std::chrono::seconds kSecondInterrupt{2};
constexpr std::size_t kMaxWaiting = 16;
std::atomic<int> relay_pipe = -1;

void on_signal(int signal) {
  const int saved = errno;
  const auto byte = static_cast<unsigned char>(signal);
  // A full pipe loses nothing: signals are waiting in it already.
  [[maybe_unused]] const ssize_t written = ::write(relay_pipe.load(), &byte, 1);
  errno = saved;
}

// A handler, not SIG_IGN: an ignored signal stays ignored in the programs we start.
void on_pipe(int /*signal*/) {}

void set_handler(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  (void)::sigaction(signal, &action, nullptr);  // NOLINT(cert-err33-c): cannot fail for these
}

/// As nohup and the background jobs of a script leave it.
bool is_ignored(int signal) {
  struct sigaction action = {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

Result<std::unique_ptr<SignalRelay>> SignalRelay::install() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return fail(errno_error("pipe"));
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  // The thread blocks in read(); only the handler's end must never block.
  if (::fcntl(read_end.get(), F_SETFL, 0) != 0) return fail(errno_error("fcntl"));
  return std::unique_ptr<SignalRelay>(new SignalRelay(std::move(read_end), std::move(write_end)));
}

SignalRelay::SignalRelay(UniqueFd read_end, UniqueFd write_end)
    : read_end_(std::move(read_end)), write_end_(std::move(write_end)) {
  relay_pipe.store(write_end_.get());
  thread_ = std::thread([this] { loop(); });
  for (const int signal : kSignals) {
    if (!is_ignored(signal)) set_handler(signal, on_signal);
  }
  set_handler(SIGPIPE, on_pipe);
}

SignalRelay::~SignalRelay() {
  for (const int signal : kSignals) {
    if (!is_ignored(signal)) set_handler(signal, SIG_DFL);
  }
  relay_pipe.store(-1);
  const unsigned char end = 0;
  [[maybe_unused]] const ssize_t written = ::write(write_end_.get(), &end, 1);
  thread_.join();
}

void SignalRelay::attach(SandboxedProgram* program) {
  const std::lock_guard lock(mutex_);
  program_ = program;
  if (program == nullptr) return;
  for (const int signal : std::exchange(waiting_, {}))
    hand_on(signal);
}

void SignalRelay::loop() {
  unsigned char byte = 0;
  while (::read(read_end_.get(), &byte, 1) == 1 && byte != 0) {
    const std::lock_guard lock(mutex_);
    if (program_ != nullptr) {
      hand_on(byte);
    } else if (waiting_.size() < kMaxWaiting) {
      waiting_.push_back(byte);
    }
  }
}

void SignalRelay::hand_on(int signal) {
  if (signal == SIGINT) {
    const auto now = steady_clock::now();
    const bool again = last_interrupt_.has_value() && now - *last_interrupt_ <= kSecondInterrupt;
    last_interrupt_ = now;
    if (again) return program_->kill();
  }
  program_->signal(signal);
}

}  // namespace symbiont::cli
