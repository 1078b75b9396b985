#include "runners/worker_startup.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include <fmt/core.h>

#include "base/result.h"
#include "ipc/messages.h"
#include "runners/worker_end.h"

namespace symbiont {
namespace {

using std::chrono::steady_clock;
using StartStatus = std::expected<void, SlmRunnerError>;

/// How long a frame may take once its first byte is there, before stop and deadline are looked at.
constexpr std::chrono::milliseconds kFrameSlice{50};
/// A group at its limit may hold so much less, for a moment.
constexpr std::uint64_t kPageSlack = 64U << 10U;

std::unexpected<SlmRunnerError> failed(SlmRunnerError error) {
  return std::unexpected(std::move(error));
}

/// Waits for input on `fd` or `wake`; true when there is some on `fd`.
bool wait_for_input(int fd, int wake, steady_clock::time_point deadline) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - steady_clock::now()).count();
  const int timeout_ms = static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000));
  std::array<pollfd, 2> entries{{{fd, POLLIN, 0}, {wake, POLLIN, 0}}};
  const int ready = ::poll(entries.data(), entries.size(), timeout_ms);
  return ready > 0 && entries[0].revents != 0;
}

/// One start; its steps share the process, the channel and what is known about its end.
class Startup {
 public:
  Startup(const WorkerSpec& spec,
          const Patience& patience,
          std::unique_ptr<sandbox::SandboxedProcess> process,
          UniqueFd socket,
          UniqueFd wake)
      : spec_(spec),
        patience_(patience),
        process_(std::move(process)),
        channel_(std::move(socket)),
        wake_(std::move(wake)) {}

  [[nodiscard]] StartStatus lock_and_prove();
  [[nodiscard]] StartStatus load(ModelFile& model);
  /// Nothing is left running.
  [[nodiscard]] SlmRunnerError give_up(SlmRunnerError error);
  [[nodiscard]] StartedWorker take() {
    return {std::move(process_), std::move(channel_), std::move(ready_)};
  }

 private:
  /// Next event; empty when `deadline` passed or a stop was requested.
  [[nodiscard]] std::expected<std::optional<WorkerEvent>, SlmRunnerError> next_event(
      steady_clock::time_point deadline);
  [[nodiscard]] std::expected<WorkerEvent, SlmRunnerError> next_load_event();
  [[nodiscard]] SlmRunnerError load_failed(const WorkerFailed& report, const std::string& path);
  [[nodiscard]] SlmRunnerError broke_protocol(const std::string& what);
  [[nodiscard]] SlmRunnerError died();
  [[nodiscard]] SlmRunnerError never_locked();
  void end(VerdictKind reason);  // kills and takes the verdict

  const WorkerSpec& spec_;
  const Patience& patience_;
  std::unique_ptr<sandbox::SandboxedProcess> process_;
  ipc::Channel channel_;
  UniqueFd wake_;  // eventfd: written when a stop is requested
  WorkerReady ready_;
  Verdict verdict_;  // Running until it ended
  std::string phase_ = "setup";
  std::string model_path_;
};

StartStatus Startup::lock_and_prove() {
  const auto lock_deadline = std::min(patience_.deadline, steady_clock::now() + kLockTimeout);
  SYMBIONT_TRY(const auto event, next_event(lock_deadline));
  if (!event.has_value()) return failed(never_locked());
  if (!std::holds_alternative<WorkerLocked>(*event)) {
    return failed(broke_protocol("it spoke before it was confined"));
  }
  if (const Status proof = process_->prove(); !proof.has_value()) {
    end(VerdictKind::Killed);
    return failed(SlmRunnerError(runner_error::InitializationFailed{fmt::format(
        "the worker is not confined as its profile says: {}", proof.error().message())}));
  }
  return {};
}

SlmRunnerError Startup::never_locked() {
  if (patience_.stop_token.stop_requested()) return give_up_error(patience_);
  // With less than its own pages need the kernel reads them again and again instead of ending it.
  const std::uint64_t limit = spec_.policy.memory_bytes;
  const std::uint64_t peak = process_->usage().peak_memory_bytes;
  if (limit != 0 && peak + kPageSlack >= limit) {
    end(VerdictKind::MemoryLimit);
    verdict_.limit_bytes = limit;
    verdict_.peak_bytes = std::max(peak, verdict_.peak_bytes);
    verdict_.phase = phase_;
    return error_from_verdict(verdict_, phase_, model_path_);
  }
  if (steady_clock::now() >= patience_.deadline) return give_up_error(patience_);
  return SlmRunnerError(runner_error::InitializationFailed{
      fmt::format("the worker was not confined within {} s", kLockTimeout.count())});
}

StartStatus Startup::load(ModelFile& model) {
  model_path_ = model.path();
  SYMBIONT_TRY(const int descriptor, model.descriptor(patience_.deadline, patience_.stop_token));
  ipc::Builder builder;
  ipc::encode_load(builder, {.context_tokens = spec_.context_tokens,
                             .threads = static_cast<std::uint16_t>(std::clamp<std::uint32_t>(
                                 spec_.policy.threads, 1, ipc::kMaxThreads)),
                             .max_sequences = spec_.max_sequences,
                             .memory_bytes = spec_.policy.memory_bytes,
                             .embeddings = spec_.embeddings});
  if (!channel_.send(builder, descriptor, patience_.deadline).has_value()) return failed(died());
  phase_ = "load";
  for (std::size_t frames = 0; frames < kMaxProgressFrames; ++frames) {
    SYMBIONT_TRY(const WorkerEvent event, next_load_event());
    if (const auto* progress = std::get_if<WorkerProgress>(&event)) {
      if (spec_.on_load_progress) spec_.on_load_progress(progress->fraction);
    } else if (const auto* ready = std::get_if<WorkerReady>(&event)) {
      ready_ = *ready;
      return {};
    } else if (const auto* report = std::get_if<WorkerFailed>(&event);
               report != nullptr && report->id == 0) {
      return failed(load_failed(*report, model.path()));
    } else {
      return failed(broke_protocol("an unexpected frame while loading"));
    }
  }
  return failed(broke_protocol("too many progress reports"));
}

/// The worker ends by itself; a limit that ended it says more than its last words.
SlmRunnerError Startup::load_failed(const WorkerFailed& report, const std::string& path) {
  const auto verdict = process_->wait_until(steady_clock::now() + std::chrono::seconds(1));
  if (verdict.has_value()) verdict_ = *verdict;
  if (verdict_.kind == VerdictKind::MemoryLimit) return died();
  return error_from_failure(report, path, spec_.policy.memory_bytes);
}

std::expected<WorkerEvent, SlmRunnerError> Startup::next_load_event() {
  SYMBIONT_TRY(auto event, next_event(patience_.deadline));
  if (event.has_value()) return *std::move(event);
  end(patience_.stop_token.stop_requested() ? VerdictKind::Killed : VerdictKind::TimeLimit);
  return failed(give_up_error(patience_));
}

std::expected<std::optional<WorkerEvent>, SlmRunnerError> Startup::next_event(
    steady_clock::time_point deadline) {
  const std::stop_callback wake(patience_.stop_token,
                                [this] { (void)::eventfd_write(wake_.get(), 1); });
  while (!patience_.stop_token.stop_requested() && steady_clock::now() < deadline) {
    if (!channel_.has_read_ahead() && !wait_for_input(channel_.fd(), wake_.get(), deadline))
      continue;
    const auto frame = channel_.receive(std::min(deadline, steady_clock::now() + kFrameSlice));
    if (frame.has_value()) {
      auto event = to_event(**frame);
      if (!event.has_value()) return failed(broke_protocol(event.error().message()));
      return std::optional<WorkerEvent>(*std::move(event));
    }
    if (frame.error().code() == ErrorCode::DeadlineExceeded) continue;  // part of a frame
    if (frame.error().code() == ErrorCode::Unavailable) return failed(died());
    return failed(broke_protocol(frame.error().message()));
  }
  return std::nullopt;
}

SlmRunnerError Startup::broke_protocol(const std::string& what) {
  end(VerdictKind::Killed);
  return SlmRunnerError(
      runner_error::SandboxViolation{fmt::format("the worker broke the protocol: {}", what)});
}

SlmRunnerError Startup::died() {
  if (verdict_.kind == VerdictKind::Running) {
    if (const auto verdict = process_->wait_until(steady_clock::now() + kReapTimeout)) {
      verdict_ = *verdict;
    } else {
      end(VerdictKind::Killed);  // it closed its channel and lives on
    }
  }
  if (verdict_.phase.empty()) verdict_.phase = phase_;
  return error_from_verdict(verdict_, phase_, model_path_);
}

void Startup::end(VerdictKind reason) {
  process_->kill(reason);
  verdict_.kind = reason;  // should the end not be seen in time
  if (const auto verdict = process_->wait_until(steady_clock::now() + kReapTimeout)) {
    verdict_ = *verdict;
  }
}

SlmRunnerError Startup::give_up(SlmRunnerError error) {
  if (verdict_.kind == VerdictKind::Running) end(VerdictKind::Killed);
  ExecutionMetadata metadata;
  fill_from_process(*process_, verdict_, spec_.policy.memory_bytes, metadata);
  error.set_context({}, std::move(metadata));
  return error;
}

std::unexpected<SlmRunnerError> io_error(std::string what) {
  return failed(SlmRunnerError(runner_error::IoError{std::move(what), errno}));
}

/// `spec` and `patience` outlive it.
std::expected<Startup, SlmRunnerError> spawn(sandbox::Launcher& launcher,
                                             const WorkerSpec& spec,
                                             const Patience& patience) {
  std::array<int, 2> sockets{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0) {
    return io_error("socketpair for a worker");
  }
  UniqueFd ours(sockets[0]);
  UniqueFd theirs(sockets[1]);
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.is_valid()) return io_error("eventfd for a worker");
  auto process = launcher.spawn(spec.policy, std::move(theirs));
  if (!process.has_value()) return failed(error_from_spawn(process.error(), launcher, spec.policy));
  return Startup(spec, patience, *std::move(process), std::move(ours), std::move(wake));
}

}  // namespace

void fill_from_process(sandbox::SandboxedProcess& process,
                       const Verdict& verdict,
                       std::uint64_t memory_limit,
                       ExecutionMetadata& metadata) {
  metadata.verdict = verdict;
  metadata.controls = process.controls();
  const sandbox::Usage usage = process.usage();
  metadata.resources = {
      .peak_memory_bytes = std::max(usage.peak_memory_bytes, verdict.peak_bytes),
      .memory_limit_bytes = memory_limit,
      .cpu_time_ms = static_cast<double>(usage.cpu_time_us) / 1000.0,
      .throttled_ms = static_cast<double>(usage.throttled_us) / 1000.0,
  };
}

std::expected<StartedWorker, SlmRunnerError> start_worker(sandbox::Launcher& launcher,
                                                          const WorkerSpec& spec,
                                                          ModelFile& model,
                                                          const Patience& patience) {
  SYMBIONT_TRY(Startup startup, spawn(launcher, spec, patience));
  StartStatus outcome = startup.lock_and_prove();
  if (outcome.has_value()) outcome = startup.load(model);
  if (!outcome.has_value()) return failed(startup.give_up(std::move(outcome).error()));
  return startup.take();
}

std::expected<std::chrono::milliseconds, SlmRunnerError> try_start(sandbox::Launcher& launcher,
                                                                   const sandbox::Policy& policy) {
  const auto began = steady_clock::now();
  const WorkerSpec spec{.policy = policy, .on_load_progress = {}};
  const Patience patience{
      .deadline = began + kLockTimeout, .limit = kLockTimeout, .stop_token = {}};
  SYMBIONT_TRY(Startup startup, spawn(launcher, spec, patience));
  const StartStatus outcome = startup.lock_and_prove();
  if (!outcome.has_value()) return failed(startup.give_up(outcome.error()));
  const auto took = steady_clock::now() - began;
  (void)startup.take();  // whose end ends the worker
  return std::chrono::ceil<std::chrono::milliseconds>(took);
}

}  // namespace symbiont
