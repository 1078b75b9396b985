#include "runners/process_runner_session.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/core.h>

#include "base/result.h"
#include "runners/random.h"
#include "runners/worker_end.h"

namespace symbiont {
namespace {

using std::chrono::steady_clock;
using SessionStatus = EngineSession::SessionStatus;
using What = EngineChannel::What;

std::unexpected<SlmRunnerError> failed(SlmRunnerError error) {
  return std::unexpected(std::move(error));
}

double milliseconds(steady_clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

SlmRunnerError to_error(const SandboxError& error) {
  if (error.kind == SandboxError::Kind::ControlUnavailable)
    return SlmRunnerError(runner_error::ControlUnavailable{error.controls, error.message});
  return SlmRunnerError(runner_error::InitializationFailed{error.message});
}

std::string with_tail(std::string text, const std::string& tail) {
  return tail.empty() ? text : fmt::format("{}; its last words: {}", text, tail);
}

}  // namespace

/// One execution while it runs.
struct EngineSession::Running {
  const ExecutionOptions& options;
  const TokenSink& sink;
  const Patience& patience;
  std::string& response;
  ExecutionMetadata& metadata;
  std::uint64_t id = 0;
  steady_clock::time_point started = steady_clock::now();
  steady_clock::time_point give_up = steady_clock::time_point::max();  // set by the cancel
  std::uint32_t tokens = 0;
  bool sink_refused = false;
  bool cancelling = false;
  bool timed_out = false;
};

std::expected<std::unique_ptr<EngineSession>, SlmRunnerError> EngineSession::start(
    const EngineSpec& spec, const Patience& patience) {
  std::unique_ptr<EngineSession> session(new EngineSession(spec));
  const SandboxCommand command{.argv = spec.command, .environment = {}, .working_directory = "/"};
  SandboxOptions options;
  options.strict = spec.strict;
  auto channel = EngineChannel::start(spec.host, spec.profile, command, options);
  if (!channel.has_value()) {
    SlmRunnerError error = to_error(channel.error());
    ExecutionMetadata metadata;
    metadata.verdict = channel.error().verdict;
    error.set_context({}, std::move(metadata));
    return failed(std::move(error));
  }
  session->channel_ = *std::move(channel);
  session->report_.controls = session->channel_->program().controls();
  SessionStatus outcome = session->wait_until_ready(patience);
  if (outcome.has_value()) return session;
  if (session->report_.verdict.kind == VerdictKind::Running) session->end(VerdictKind::Killed);
  ExecutionMetadata metadata;
  session->fill(metadata);
  outcome.error().set_context({}, std::move(metadata));
  return failed(std::move(outcome).error());
}

EngineSession::~EngineSession() {
  if (!usable_ || report_.verdict.kind != VerdictKind::Running) return;
  channel_->close_input();
  if (!channel_->program().wait_for(spec_.end_grace)) channel_->program().kill();
}

SessionStatus EngineSession::wait_until_ready(const Patience& patience) {
  const auto by = std::min(patience.deadline, steady_clock::now() + spec_.ready_timeout);
  const EngineChannel::Event event = channel_->next_line(by, patience.stop_token);
  switch (event.what) {
    case What::Line:
      break;
    case What::End:
      return failed(died());
    case What::TooLong:
      return failed(broke_protocol("a line above 64 KiB instead of 'ready'"));
    case What::Stopped:
      return failed(give_up_error(patience));
    case What::Time:
      if (steady_clock::now() >= patience.deadline) {
        end(VerdictKind::TimeLimit);
        return failed(give_up_error(patience));
      }
      end(VerdictKind::Killed);
      return failed(SlmRunnerError(runner_error::InitializationFailed{
          with_tail(fmt::format("the engine '{}' was not ready within {} ms", spec_.command.front(),
                                spec_.ready_timeout.count()),
                    channel_->stderr_tail())}));
  }
  auto message = engine_protocol::parse(event.line);
  if (!message.has_value()) return failed(broke_protocol(message.error().message()));
  auto* ready = std::get_if<engine_protocol::Ready>(&*message);
  if (ready == nullptr)
    return failed(broke_protocol(engine_protocol::describe(*message) + " before 'ready'"));
  ready_ = std::move(*ready);
  is_ready_ = true;
  usable_ = true;
  return {};
}

SessionStatus EngineSession::execute(std::span<const ChatMessage> messages,
                                     const ExecutionOptions& options,
                                     const TokenSink& sink,
                                     const Patience& patience,
                                     std::string& response,
                                     ExecutionMetadata& metadata) {
  Running running{options, sink, patience, response, metadata};
  running.id = next_id_++;
  if (!idle_memory_.begin_execution()) end(VerdictKind::Killed);  // which send() finds
  channel_->begin_exchange();
  const std::string request = engine_protocol::execute_line(running.id, messages, options,
                                                            options.seed.value_or(random_u64()));
  SessionStatus outcome;
  switch (channel_->send(request, patience.deadline, patience.stop_token)) {
    case What::Line: {
      std::expected<bool, SlmRunnerError> over = false;
      while (over.has_value() && !*over)
        over = step(running);
      if (!over.has_value()) outcome = failed(std::move(over).error());
      break;
    }
    case What::End:
      outcome = failed(died());
      break;
    default:  // half a request is no request: it cannot be cancelled
      outcome = failed(give_up_error(patience));
      end(patience.stop_token.stop_requested() ? VerdictKind::Killed : VerdictKind::TimeLimit);
      break;
  }
  if (outcome.has_value() && running.cancelling) {
    outcome =
        failed(running.timed_out ? SlmRunnerError(runner_error::ExecutionTimeout{patience.limit})
                                 : SlmRunnerError(runner_error::Cancelled{}));
  }
  metadata.timing.decode_ms =
      milliseconds(steady_clock::now() - running.started) - metadata.timing.first_token_ms;
  fill(metadata);
  if (!idle_memory_.end_execution(metadata.resources.peak_memory_bytes)) end(VerdictKind::Killed);
  return outcome;
}

std::expected<bool, SlmRunnerError> EngineSession::step(Running& running) {
  if (running.sink_refused && !running.cancelling) return give_up(running);
  const auto deadline = running.cancelling ? running.give_up : running.patience.deadline;
  // An engine that talks without a pause must not outrun its deadline.
  const bool late = steady_clock::now() >= deadline;
  EngineChannel::Event event{What::Time, {}};
  if (!late) {
    event = channel_->next_line(
        deadline, running.cancelling ? std::stop_token() : running.patience.stop_token);
  }
  switch (event.what) {
    case What::Line:
      return on_line(running, event.line);
    case What::End:
      return failed(died());
    case What::TooLong:
      return failed(broke_protocol("a line above 64 KiB, or more than 64 MiB for one answer"));
    case What::Time:
    case What::Stopped:
      break;
  }
  return give_up(running);
}

std::expected<bool, SlmRunnerError> EngineSession::give_up(Running& running) {
  if (running.cancelling) {  // the grace is over
    end(running.timed_out ? VerdictKind::TimeLimit : VerdictKind::Killed);
    return true;
  }
  running.cancelling = true;
  running.timed_out = !running.sink_refused && !running.patience.stop_token.stop_requested();
  running.give_up = steady_clock::now() + spec_.cancel_grace;
  const What sent =
      channel_->send(engine_protocol::cancel_line(running.id), running.give_up, std::stop_token());
  if (sent == What::End) return failed(died());
  return false;
}

std::expected<bool, SlmRunnerError> EngineSession::on_line(Running& running,
                                                           std::string_view line) {
  const auto message = engine_protocol::parse(line);
  if (!message.has_value()) return failed(broke_protocol(message.error().message()));
  if (const auto* token = std::get_if<engine_protocol::Token>(&*message);
      token != nullptr && token->id == running.id) {
    SYMBIONT_TRY_STATUS(on_token(running, *token));
    return false;
  }
  if (const auto* done = std::get_if<engine_protocol::Done>(&*message);
      done != nullptr && done->id == running.id) {
    SYMBIONT_TRY_STATUS(on_done(running, *done));
    return true;
  }
  if (const auto* report = std::get_if<engine_protocol::Failed>(&*message);
      report != nullptr && report->id == running.id) {
    if (report->invalid_input)
      return failed(SlmRunnerError(runner_error::InvalidInput{"request", report->message}));
    return failed(
        SlmRunnerError(runner_error::ExecutionFailed{fmt::format("engine: {}", report->message)}));
  }
  return failed(broke_protocol(
      fmt::format("{} while execution {} ran", engine_protocol::describe(*message), running.id)));
}

SessionStatus EngineSession::on_token(Running& running, const engine_protocol::Token& token) {
  if (++running.tokens > running.options.max_tokens + kExtraTokenFrames)
    return failed(broke_protocol("more tokens than were asked for"));
  if (running.response.size() + token.text.size() > kMaxResponseBytes)
    return failed(broke_protocol("an answer above 16 MiB"));
  if (running.tokens == 1)
    running.metadata.timing.first_token_ms = milliseconds(steady_clock::now() - running.started);
  running.response += token.text;
  if (!running.cancelling && !token.text.empty() && running.sink && !running.sink(token.text))
    running.sink_refused = true;
  return {};
}

SessionStatus EngineSession::on_done(Running& running, const engine_protocol::Done& done) {
  if (done.usage.completion_tokens > running.options.max_tokens)
    return failed(broke_protocol("more tokens used than were asked for"));
  running.metadata.usage = done.usage;
  switch (done.finish) {
    case engine_protocol::Finish::Stop:
      running.metadata.finish_reason = "stop";
      break;
    case engine_protocol::Finish::Length:
      running.metadata.finish_reason = "length";
      break;
    case engine_protocol::Finish::Cancelled:
      if (!running.cancelling) return failed(broke_protocol("it cancelled what nobody cancelled"));
      return {};
  }
  // It was complete before the cancel arrived: a complete answer is no failure, unless refused.
  if (!running.sink_refused) running.cancelling = false;
  return {};
}

SlmRunnerError EngineSession::broke_protocol(const std::string& what) {
  end(VerdictKind::Killed);
  return SlmRunnerError(runner_error::ExecutionFailed{
      with_tail(fmt::format("the engine '{}' broke the protocol: {}", spec_.command.front(), what),
                channel_->stderr_tail())});
}

SlmRunnerError EngineSession::died() {
  usable_ = false;
  if (report_.verdict.kind == VerdictKind::Running) {
    if (auto report = channel_->program().wait_for(kReapTimeout)) {
      report_ = *std::move(report);
    } else {
      end(VerdictKind::Killed);  // it closed its output and lives on
    }
  }
  Verdict& verdict = report_.verdict;
  if (verdict.phase.empty()) verdict.phase = is_ready_ ? "inference" : "setup";
  const std::string how = with_tail(describe(verdict), channel_->stderr_tail());
  switch (verdict.kind) {
    case VerdictKind::FsDenied:
    case VerdictKind::NetDenied:
    case VerdictKind::SyscallDenied:
      return SlmRunnerError(runner_error::SandboxViolation{how});
    case VerdictKind::Running:
    case VerdictKind::Exited:
    case VerdictKind::Signaled:
    case VerdictKind::Killed:
      break;
    default:
      return error_from_verdict(verdict, verdict.phase, spec_.command.front());
  }
  if (!is_ready_) {
    return SlmRunnerError(runner_error::InitializationFailed{
        fmt::format("the engine '{}' ended before it was ready: {}", spec_.command.front(), how)});
  }
  return SlmRunnerError(runner_error::ExecutionFailed{
      fmt::format("the engine '{}' ended during the execution; the next one starts another: {}",
                  spec_.command.front(), how)});
}

void EngineSession::end(VerdictKind reason) {
  usable_ = false;
  channel_->program().kill();
  auto report = channel_->program().wait_for(kReapTimeout);
  const bool seen = report.has_value();
  if (seen) report_ = *std::move(report);
  // Should the end not be seen in time; and what we killed for its time says so.
  const bool by_us = !seen || report_.verdict.kind == VerdictKind::Killed;
  if (by_us) report_.verdict.kind = reason;
}

bool EngineSession::is_alive() {
  if (usable_ && channel_->has_output()) end(VerdictKind::Killed);  // dead, or out of turn
  return usable_;
}

void EngineSession::fill(ExecutionMetadata& metadata) {
  if (usable_) report_.usage = channel_->program().usage();
  metadata.verdict = report_.verdict;
  metadata.controls = report_.controls;
  metadata.resources = {
      .peak_memory_bytes = std::max(report_.usage.peak_memory_bytes, report_.verdict.peak_bytes),
      .memory_limit_bytes = spec_.profile.resources.max_memory_mb << 20U,
      .cpu_time_ms = milliseconds(report_.usage.cpu_time),
      .throttled_ms = milliseconds(report_.usage.throttled),
  };
}

}  // namespace symbiont
