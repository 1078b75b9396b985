#include "symbiont/process_runner.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

#include <fmt/core.h>

#include "base/pause.h"
#include "base/result.h"
#include "runners/process_runner_impl.h"
#include "runners/random.h"
#include "runners/validate.h"

namespace symbiont {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using RunnerStatus = std::expected<void, SlmRunnerError>;

constexpr milliseconds kFirstBackoff{100};  // after the second failed start in a row
constexpr milliseconds kMaxBackoff{5000};

std::unexpected<SlmRunnerError> failed(SlmRunnerError error) {
  return std::unexpected(std::move(error));
}

double elapsed_ms(steady_clock::time_point since) {
  return std::chrono::duration<double, std::milli>(steady_clock::now() - since).count();
}

RunnerStatus validate_command(const std::vector<std::string>& command) {
  if (!command.empty() && command.front().contains('/')) return {};
  return failed(SlmRunnerError(runner_error::InvalidInput{
      "command", "must begin with the path of a program, as in /usr/bin/python3"}));
}

RunnerStatus validate_isolation(const std::string& isolation) {
  constexpr std::array<std::string_view, 3> kKnown = {"shared", "agent", "request"};
  if (std::ranges::find(kKnown, isolation) != kKnown.end()) return {};
  return failed(SlmRunnerError(runner_error::InvalidInput{
      "isolation", fmt::format("'{}' is none of shared, agent, request", isolation)}));
}

bool is_impatience(const SlmRunnerError& error) {
  return error.get_if<runner_error::Cancelled>() != nullptr ||
         error.get_if<runner_error::ExecutionTimeout>() != nullptr;
}

}  // namespace

ProcessRunner::Impl::Impl(EngineSpec spec_in,
                          ModelResourceRequirements requirements_in,
                          ProcessRunnerOptions options_in)
    : spec(std::move(spec_in)),
      requirements(std::move(requirements_in)),
      options(std::move(options_in)) {}

Patience ProcessRunner::Impl::make_patience(milliseconds timeout,
                                            std::stop_token stop_token) const {
  const std::chrono::seconds most(spec.profile.process_limits.max_execution_time_seconds);
  const milliseconds limit = std::min<milliseconds>(timeout, most);
  return {steady_clock::now() + limit, limit, std::move(stop_token)};
}

ExecutionMetadata ProcessRunner::Impl::new_metadata() const {
  ExecutionMetadata metadata;
  metadata.execution_id = new_execution_id();
  metadata.model_id = options.model_id;
  metadata.model_version = options.model_version;
  metadata.agent = options.agent;
  metadata.profile = spec.profile.name;
  metadata.isolation = options.isolation;
  metadata.finish_reason = "error";
  metadata.resources.memory_limit_bytes = spec.profile.resources.max_memory_mb << 20U;
  return metadata;
}

RunnerStatus ProcessRunner::Impl::enter(const Patience& patience) {
  const Status turn = turnstile.enter(patience.deadline, patience.stop_token);
  if (turn.has_value()) return {};
  switch (turn.error().code()) {
    case ErrorCode::Cancelled:
      return failed(SlmRunnerError(runner_error::Cancelled{}));
    case ErrorCode::ResourceExhausted:
      return failed(SlmRunnerError(
          runner_error::ResourceLimitExceeded{"waiting executions", kMaxQueued, kMaxQueued + 1}));
    default:
      return failed(SlmRunnerError(runner_error::ExecutionTimeout{patience.limit}));
  }
}

RunnerStatus ProcessRunner::Impl::wait_out_backoff(const Patience& patience) const {
  if (failed_starts < 2) return {};
  const unsigned doublings = std::min(failed_starts - 2, 6U);
  const auto ready_at =
      last_failed_start + std::min<milliseconds>(kFirstBackoff * (1U << doublings), kMaxBackoff);
  pause_until(std::min(ready_at, patience.deadline), patience.stop_token);
  if (patience.stop_token.stop_requested())
    return failed(SlmRunnerError(runner_error::Cancelled{}));
  if (steady_clock::now() >= patience.deadline)
    return failed(SlmRunnerError(runner_error::ExecutionTimeout{patience.limit}));
  return {};
}

RunnerStatus ProcessRunner::Impl::ensure_engine(const Patience& patience) {
  if (session != nullptr && session->is_alive()) return {};
  session.reset();
  pid = 0;
  SYMBIONT_TRY_STATUS(wait_out_backoff(patience));
  auto started = EngineSession::start(spec, patience);
  if (!started.has_value()) {
    if (!is_impatience(started.error())) {
      ++failed_starts;
      last_failed_start = steady_clock::now();
    }
    return failed(std::move(started).error());
  }
  failed_starts = 0;
  session = *std::move(started);
  pid = session->pid();
  const engine_protocol::Ready& ready = session->ready();
  const MutexLock lock(info_mutex);
  engine = ready.version.empty() ? ready.name : ready.name + " " + ready.version;
  return {};
}

RunnerStatus ProcessRunner::Impl::run(std::span<const ChatMessage> messages,
                                      const ExecutionOptions& execution_options,
                                      const TokenSink& sink,
                                      const Patience& patience,
                                      ExecutionResult& result) {
  ExecutionTimings& timing = result.metadata.timing;
  const auto called = steady_clock::now();
  const RunnerStatus entered = enter(patience);
  timing.queue_ms = elapsed_ms(called);
  if (!entered.has_value()) return entered;
  const Turn turn(turnstile);

  const auto load_started = steady_clock::now();
  const bool was_warm = session != nullptr && session->is_alive();
  RunnerStatus outcome = ensure_engine(patience);
  if (!was_warm) timing.load_ms = elapsed_ms(load_started);
  if (!outcome.has_value()) {
    const ExecutionMetadata& known = outcome.error().metadata();
    result.metadata.verdict = known.verdict;
    result.metadata.controls = known.controls;
    if (known.resources.memory_limit_bytes != 0) result.metadata.resources = known.resources;
    return outcome;
  }
  const double before_ms = elapsed_ms(called);
  outcome = session->execute(messages, execution_options, sink, patience, result.response,
                             result.metadata);
  if (timing.first_token_ms > 0) timing.first_token_ms += before_ms;
  if (!session->is_alive()) {
    session.reset();
    pid = 0;
  }
  return outcome;
}

std::expected<std::unique_ptr<ProcessRunner>, SlmRunnerError> make_process_runner(
    EngineSpec spec, const ModelResourceRequirements& requirements, ProcessRunnerOptions options) {
  SYMBIONT_TRY_STATUS(validate_command(spec.command));
  SYMBIONT_TRY_STATUS(validate_profile(spec.profile, requirements));
  SYMBIONT_TRY_STATUS(validate_isolation(options.isolation));
  if (options.model_id.empty())
    options.model_id = std::filesystem::path(spec.command.front()).filename().string();
  return std::make_unique<ProcessRunner>(
      std::make_unique<ProcessRunner::Impl>(std::move(spec), requirements, std::move(options)));
}

std::expected<std::unique_ptr<ProcessRunner>, SlmRunnerError> ProcessRunner::create(
    std::vector<std::string> command,
    const SandboxProfile& profile,
    const ModelResourceRequirements& requirements,
    ProcessRunnerOptions options) {
  if (options.host == nullptr) options.host = SandboxHost::create();
  EngineSpec spec{.host = options.host,
                  .profile = profile,
                  .command = std::move(command),
                  .strict = options.strict};
  return make_process_runner(std::move(spec), requirements, std::move(options));
}

ProcessRunner::ProcessRunner(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ProcessRunner::~ProcessRunner() = default;

SlmRunner::Outcome ProcessRunner::execute_chat(std::span<const ChatMessage> messages,
                                               const ExecutionOptions& options,
                                               const TokenSink& sink,
                                               std::stop_token stop_token) {
  const auto called = steady_clock::now();
  ExecutionResult result;
  result.metadata = impl_->new_metadata();
  RunnerStatus outcome = validate_options(options, {});
  if (outcome.has_value()) outcome = validate_plain_sampling(options);
  if (outcome.has_value()) outcome = validate_messages(messages);
  if (outcome.has_value()) {
    const Patience patience = impl_->make_patience(options.timeout, std::move(stop_token));
    outcome = impl_->run(messages, options, sink, patience, result);
  }
  result.metadata.timing.total_ms = elapsed_ms(called);
  if (outcome.has_value()) return result;
  result.metadata.finish_reason = "error";
  if (outcome.error().get_if<runner_error::ExecutionTimeout>() != nullptr) {
    result.metadata.finish_reason = "timeout";
  } else if (outcome.error().get_if<runner_error::Cancelled>() != nullptr) {
    result.metadata.finish_reason = "cancelled";
  }
  outcome.error().set_context(std::move(result.response), std::move(result.metadata));
  return failed(std::move(outcome).error());
}

const SandboxProfile& ProcessRunner::get_sandbox_profile() const {
  return impl_->spec.profile;
}

const ModelResourceRequirements& ProcessRunner::get_resource_requirements() const {
  return impl_->requirements;
}

std::expected<void, SlmRunnerError> ProcessRunner::health_check() {
  const Patience patience = impl_->make_patience(kMaxTimeout, {});
  SYMBIONT_TRY_STATUS(impl_->enter(patience));
  const Turn turn(impl_->turnstile);
  return impl_->ensure_engine(patience);
}

RunnerInfo ProcessRunner::get_info() const {
  const MutexLock lock(impl_->info_mutex);
  return {.name = "ProcessRunner",
          .version = impl_->engine,
          .model = impl_->options.model_id,
          .streams = true,
          .sandboxed = true};
}

int ProcessRunner::engine_pid() const {
  return impl_->pid;
}

}  // namespace symbiont
