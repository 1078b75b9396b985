#include "cmd/symbiont/interrupt.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>

namespace symbiont::cli {
namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};
std::atomic<int> signal_pipe = -1;

void on_signal(int signal) {
  const int saved = errno;
  const auto byte = static_cast<unsigned char>(signal);
  // A full pipe loses nothing: signals are waiting in it already.
  [[maybe_unused]] const ssize_t written = ::write(signal_pipe.load(), &byte, 1);
  errno = saved;
}

// A handler, not SIG_IGN: an ignored signal stays ignored in the programs we start.
void on_pipe(int /*signal*/) {}

void set_handlers(void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  for (const int signal : kSignals)
    (void)::sigaction(signal, &action, nullptr);  // NOLINT(cert-err33-c): cannot fail for these
}

}  // namespace

Result<std::unique_ptr<Interrupt>> Interrupt::install() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return fail(errno_error("pipe"));
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  // The thread blocks in read(); only the handler's end must never block.
  if (::fcntl(read_end.get(), F_SETFL, 0) != 0) return fail(errno_error("fcntl"));
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.is_valid()) return fail(errno_error("eventfd"));
  return std::unique_ptr<Interrupt>(
      new Interrupt(std::move(read_end), std::move(write_end), std::move(wake)));
}

Interrupt::Interrupt(UniqueFd read_end, UniqueFd write_end, UniqueFd wake)
    : read_end_(std::move(read_end)), write_end_(std::move(write_end)), wake_(std::move(wake)) {
  signal_pipe.store(write_end_.get());
  thread_ = std::thread([this] { loop(); });
  set_handlers(on_signal);
  struct sigaction action = {};
  action.sa_handler = on_pipe;
  (void)::sigaction(SIGPIPE, &action, nullptr);  // NOLINT(cert-err33-c): as above
}

Interrupt::~Interrupt() {
  set_handlers(SIG_DFL);
  signal_pipe.store(-1);
  const unsigned char end = 0;
  [[maybe_unused]] const ssize_t written = ::write(write_end_.get(), &end, 1);
  thread_.join();
}

std::stop_token Interrupt::token() {
  const std::lock_guard lock(mutex_);
  return source_.get_token();
}

void Interrupt::rearm() {
  const std::lock_guard lock(mutex_);
  std::uint64_t count = 0;
  // NOLINTNEXTLINE(clang-analyzer-unix.BlockInCriticalSection): the eventfd does not block
  [[maybe_unused]] const ssize_t taken = ::read(wake_.get(), &count, sizeof(count));
  int expected = SIGINT;
  if (signal_.compare_exchange_strong(expected, 0)) source_ = std::stop_source();
}

void Interrupt::loop() {
  unsigned char byte = 0;
  while (::read(read_end_.get(), &byte, 1) == 1 && byte != 0) {
    int none = 0;
    if (!signal_.compare_exchange_strong(none, byte)) ::_exit(128 + byte);
    const std::lock_guard lock(mutex_);
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
    source_.request_stop();
  }
}

}  // namespace symbiont::cli
