#include "runners/worker_session.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <fmt/core.h>

#include "base/result.h"
#include "ipc/messages.h"
#include "runners/random.h"
#include "runners/worker_end.h"

namespace symbiont {
namespace {

using std::chrono::steady_clock;
using SessionStatus = std::expected<void, SlmRunnerError>;

/// How long a frame may take once its first byte is there, before stop and deadline are looked at.
constexpr std::chrono::milliseconds kFrameSlice{50};

std::unexpected<SlmRunnerError> failed(SlmRunnerError error) {
  return std::unexpected(std::move(error));
}

std::unexpected<SlmRunnerError> io_error(std::string what) {
  return failed(SlmRunnerError(runner_error::IoError{std::move(what), errno}));
}

double milliseconds(steady_clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

SlmRunnerError give_up_error(const Patience& patience) {
  if (patience.stop_token.stop_requested()) return SlmRunnerError(runner_error::Cancelled{});
  return SlmRunnerError(runner_error::ExecutionTimeout{patience.limit});
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

}  // namespace

/// One execution while it runs.
struct WorkerSession::Running {
  const ExecutionOptions& options;
  const TokenSink& sink;
  const Patience& patience;
  std::string& response;
  ExecutionMetadata& metadata;
  std::uint64_t id = 0;
  steady_clock::time_point started = steady_clock::now();
  steady_clock::time_point give_up = steady_clock::time_point::max();  // set by the first Cancel
  std::uint32_t token_frames = 0;
  bool sink_refused = false;
  bool cancelling = false;
  bool timed_out = false;
};

WorkerSession::WorkerSession(WorkerSpec spec, std::string model_path)
    : spec_(std::move(spec)), model_path_(std::move(model_path)) {}

WorkerSession::~WorkerSession() = default;  // ~SandboxedProcess kills the tree

std::expected<std::unique_ptr<WorkerSession>, SlmRunnerError> WorkerSession::start(
    sandbox::Launcher& launcher,
    const WorkerSpec& spec,
    ModelFile& model,
    const Patience& patience) {
  std::unique_ptr<WorkerSession> session(new WorkerSession(spec, model.path()));
  std::array<int, 2> sockets{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0) {
    return io_error("socketpair for a worker");
  }
  session->channel_.emplace(UniqueFd(sockets[0]));
  UniqueFd theirs(sockets[1]);
  session->wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!session->wake_.is_valid()) return io_error("eventfd for a worker");

  auto process = launcher.spawn(spec.policy, std::move(theirs));
  if (!process.has_value()) return failed(error_from_spawn(process.error(), launcher, spec.policy));
  session->process_ = *std::move(process);

  SessionStatus outcome = session->lock_and_prove(patience);
  if (outcome.has_value()) outcome = session->load(model, patience);
  if (!outcome.has_value()) {
    if (session->verdict_.kind == VerdictKind::Running) session->end(VerdictKind::Killed);
    ExecutionMetadata metadata;
    session->fill(metadata);
    outcome.error().set_context({}, std::move(metadata));
    return failed(std::move(outcome).error());
  }
  session->phase_ = "inference";
  session->usable_ = true;
  return session;
}

SessionStatus WorkerSession::lock_and_prove(const Patience& patience) {
  const auto lock_deadline = std::min(patience.deadline, steady_clock::now() + kLockTimeout);
  SYMBIONT_TRY(const auto event, next_event(lock_deadline, patience.stop_token, true));
  if (!event.has_value()) {
    const bool impatient =
        patience.stop_token.stop_requested() || steady_clock::now() >= patience.deadline;
    if (impatient) return failed(give_up_error(patience));
    return failed(SlmRunnerError(runner_error::InitializationFailed{
        fmt::format("the worker was not confined within {} s", kLockTimeout.count())}));
  }
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

SessionStatus WorkerSession::load(ModelFile& model, const Patience& patience) {
  SYMBIONT_TRY(const int descriptor, model.descriptor(patience.deadline, patience.stop_token));
  ipc::Builder builder;
  ipc::encode_load(builder, {.context_tokens = spec_.context_tokens,
                             .threads = static_cast<std::uint16_t>(std::clamp<std::uint32_t>(
                                 spec_.policy.threads, 1, ipc::kMaxThreads))});
  if (const Status sent = channel_->send(builder, descriptor, patience.deadline);
      !sent.has_value()) {
    return failed(died());
  }
  phase_ = "load";
  for (std::size_t frames = 0; frames < kMaxProgressFrames; ++frames) {
    SYMBIONT_TRY(const WorkerEvent event, next_load_event(patience));
    if (const auto* progress = std::get_if<WorkerProgress>(&event)) {
      if (spec_.on_load_progress) spec_.on_load_progress(progress->fraction);
    } else if (const auto* ready = std::get_if<WorkerReady>(&event)) {
      ready_ = *ready;
      return {};
    } else if (const auto* report = std::get_if<WorkerFailed>(&event);
               report != nullptr && report->id == 0) {
      SlmRunnerError error = error_from_failure(*report, model_path_, spec_.policy.memory_bytes);
      // It ends by itself; a limit that ended it says more than its last words.
      const auto verdict = process_->wait_until(steady_clock::now() + std::chrono::seconds(1));
      if (verdict.has_value()) verdict_ = *verdict;
      if (verdict_.kind == VerdictKind::MemoryLimit) return failed(died());
      return failed(std::move(error));
    } else {
      return failed(broke_protocol("an unexpected frame while loading"));
    }
  }
  return failed(broke_protocol("too many progress reports"));
}

WorkerSession::EventResult WorkerSession::next_load_event(const Patience& patience) {
  SYMBIONT_TRY(auto event, next_event(patience.deadline, patience.stop_token, true));
  if (event.has_value()) return *std::move(event);
  end(patience.stop_token.stop_requested() ? VerdictKind::Killed : VerdictKind::TimeLimit);
  return failed(give_up_error(patience));
}

std::expected<std::optional<WorkerEvent>, SlmRunnerError> WorkerSession::next_event(
    steady_clock::time_point deadline, const std::stop_token& stop_token, bool watch_stop) {
  const std::stop_callback wake(stop_token, [this] { (void)::eventfd_write(wake_.get(), 1); });
  while (true) {
    if (watch_stop && stop_token.stop_requested()) return std::nullopt;
    const auto now = steady_clock::now();
    if (now >= deadline) return std::nullopt;
    // Once a stop was noticed its eventfd stays readable: poll must not look at it any more.
    if (!wait_for_input(channel_->fd(), watch_stop ? wake_.get() : -1, deadline)) continue;
    const auto frame = channel_->receive(std::min(deadline, steady_clock::now() + kFrameSlice));
    if (frame.has_value()) {
      auto event = to_event(**frame);
      if (!event.has_value()) return failed(broke_protocol(event.error().message()));
      return std::optional<WorkerEvent>(*std::move(event));
    }
    if (frame.error().code() == ErrorCode::DeadlineExceeded) continue;  // part of a frame
    if (frame.error().code() == ErrorCode::Unavailable) return failed(died());
    return failed(broke_protocol(frame.error().message()));
  }
}

SessionStatus WorkerSession::execute(std::span<const ChatMessage> messages,
                                     const ExecutionOptions& options,
                                     const TokenSink& sink,
                                     const Patience& patience,
                                     std::string& response,
                                     ExecutionMetadata& metadata) {
  Running running{options, sink, patience, response, metadata};
  running.id = next_id_++;
  std::uint64_t drained = 0;
  (void)::eventfd_read(wake_.get(), &drained);  // an earlier execution's stop

  ipc::ExecuteRequest request{
      .id = running.id,
      .messages = {},
      .raw = options.raw,
      .max_tokens = options.max_tokens,
      .temperature = options.temperature,
      .top_p = options.top_p,
      .top_k = options.top_k,
      .min_p = options.min_p,
      .repeat_penalty = options.repeat_penalty,
      .seed = options.seed.value_or(random_u64()),
      .stop = options.stop,
      .deadline_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(
          1, std::chrono::ceil<std::chrono::milliseconds>(patience.deadline - running.started)
                 .count()))};
  request.messages.reserve(messages.size());
  for (const ChatMessage& message : messages) {
    request.messages.push_back({.role = message.role, .content = message.content});
  }
  ipc::Builder builder;
  ipc::encode_execute(builder, request);

  SessionStatus outcome;
  if (const Status sent = channel_->send(builder, -1, patience.deadline + spec_.cancel_grace);
      sent.has_value()) {
    std::expected<bool, SlmRunnerError> over = false;
    while (over.has_value() && !*over)
      over = step(running);
    if (!over.has_value()) outcome = failed(std::move(over).error());
  } else if (sent.error().code() == ErrorCode::DeadlineExceeded) {
    end(VerdictKind::TimeLimit);
    outcome = failed(give_up_error(patience));
  } else {
    outcome = failed(died());
  }
  if (outcome.has_value() && running.cancelling) {
    outcome =
        failed(running.timed_out ? SlmRunnerError(runner_error::ExecutionTimeout{patience.limit})
                                 : SlmRunnerError(runner_error::Cancelled{}));
  }
  fill(metadata);
  if (!outcome.has_value()) {
    metadata.finish_reason =
        outcome.error().get_if<runner_error::ExecutionTimeout>() != nullptr ? "timeout"
        : outcome.error().get_if<runner_error::Cancelled>() != nullptr      ? "cancelled"
                                                                            : "error";
  }
  return outcome;
}

std::expected<bool, SlmRunnerError> WorkerSession::step(Running& running) {
  const auto deadline = running.cancelling ? running.give_up : running.patience.deadline;
  const bool watch_stop = !running.cancelling;
  std::optional<WorkerEvent> event;
  if (!running.sink_refused || running.cancelling) {
    SYMBIONT_TRY(event, next_event(deadline, running.patience.stop_token, watch_stop));
  }
  if (event.has_value()) {
    if (const auto* token = std::get_if<WorkerToken>(&*event)) return on_token(running, *token);
    if (const auto* done = std::get_if<WorkerDone>(&*event)) {
      SYMBIONT_TRY_STATUS(on_done(running, *done));
      return true;
    }
    if (const auto* report = std::get_if<WorkerFailed>(&*event);
        report != nullptr && report->id == running.id) {
      return failed(on_failed(*report));
    }
    return failed(broke_protocol("an unexpected frame during an execution"));
  }
  if (running.cancelling) {  // the grace is over
    end(running.timed_out ? VerdictKind::TimeLimit : VerdictKind::Killed);
    return true;
  }
  running.cancelling = true;
  running.timed_out = !running.sink_refused && !running.patience.stop_token.stop_requested();
  running.give_up = steady_clock::now() + spec_.cancel_grace;
  ipc::Builder builder;
  ipc::encode_cancel(builder, running.id);
  if (const Status sent = channel_->send(builder, -1, running.give_up);
      !sent.has_value() && sent.error().code() != ErrorCode::DeadlineExceeded) {
    return failed(died());
  }
  return false;
}

std::expected<bool, SlmRunnerError> WorkerSession::on_token(Running& running,
                                                            const WorkerToken& token) {
  if (token.id != running.id) return failed(broke_protocol("text for another execution"));
  if (++running.token_frames > running.options.max_tokens + kExtraTokenFrames) {
    return failed(broke_protocol("more tokens than were asked for"));
  }
  if (running.response.size() + token.text.size() > kMaxResponseBytes) {
    return failed(broke_protocol("an answer above 16 MiB"));
  }
  if (running.token_frames == 1) {
    running.metadata.timing.first_token_ms = milliseconds(steady_clock::now() - running.started);
  }
  running.response += token.text;
  if (!running.cancelling && !token.text.empty() && running.sink && !running.sink(token.text)) {
    running.sink_refused = true;
  }
  return false;
}

SessionStatus WorkerSession::on_done(Running& running, const WorkerDone& done) {
  if (done.id != running.id) return failed(broke_protocol("the end of another execution"));
  if (done.usage.completion_tokens > running.options.max_tokens ||
      done.usage.prompt_tokens > ready_.context_tokens) {
    return failed(broke_protocol("token counts that cannot be"));
  }
  ExecutionMetadata& metadata = running.metadata;
  metadata.usage = done.usage;
  // The worker's figures are claims: never more than the time that passed here.
  const double elapsed = milliseconds(steady_clock::now() - running.started);
  metadata.timing.prefill_ms = std::min(static_cast<double>(done.prefill_us) / 1000.0, elapsed);
  metadata.timing.decode_ms =
      std::min(static_cast<double>(done.decode_us) / 1000.0, elapsed - metadata.timing.prefill_ms);
  switch (done.finish) {
    case ipc::fb::Finish::Stop:
      metadata.finish_reason = "stop";
      break;
    case ipc::fb::Finish::Length:
      metadata.finish_reason = "length";
      break;
    case ipc::fb::Finish::Deadline:
      return failed(SlmRunnerError(runner_error::ExecutionTimeout{running.patience.limit}));
    case ipc::fb::Finish::Cancelled:
      if (!running.cancelling) return failed(broke_protocol("it cancelled what nobody cancelled"));
      return {};
  }
  // It was complete before the Cancel arrived: a complete answer is no failure, unless refused.
  if (running.timed_out || (running.cancelling && !running.sink_refused))
    running.cancelling = false;
  return {};
}

SlmRunnerError WorkerSession::on_failed(const WorkerFailed& report) {
  return error_from_failure(report, model_path_, spec_.policy.memory_bytes);
}

SlmRunnerError WorkerSession::broke_protocol(const std::string& what) {
  end(VerdictKind::Killed);
  return SlmRunnerError(
      runner_error::SandboxViolation{fmt::format("the worker broke the protocol: {}", what)});
}

SlmRunnerError WorkerSession::died() {
  usable_ = false;
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

void WorkerSession::end(VerdictKind reason) {
  usable_ = false;
  process_->kill(reason);
  verdict_.kind = reason;  // should the end not be seen in time
  if (const auto verdict = process_->wait_until(steady_clock::now() + kReapTimeout)) {
    verdict_ = *verdict;
  }
}

bool WorkerSession::is_alive() {
  if (usable_ && channel_->has_input()) end(VerdictKind::Killed);  // dead, or talking out of turn
  return usable_;
}

void WorkerSession::fill(ExecutionMetadata& metadata) {
  metadata.verdict = verdict_;
  metadata.controls = process_->controls();
  const sandbox::Usage usage = process_->usage();
  metadata.resources = {
      .peak_memory_bytes = std::max(usage.peak_memory_bytes, verdict_.peak_bytes),
      .memory_limit_bytes = spec_.policy.memory_bytes,
      .cpu_time_ms = static_cast<double>(usage.cpu_time_us) / 1000.0,
      .throttled_ms = static_cast<double>(usage.throttled_us) / 1000.0,
  };
}

}  // namespace symbiont
