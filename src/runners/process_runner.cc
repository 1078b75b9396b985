#include "symbiont/process_runner.h"

#include <filesystem>
#include <utility>

#include "base/result.h"
#include "runners/process_runner_impl.h"
#include "runners/validate.h"
#include "runners/warm_runner.h"

namespace symbiont {
namespace {

using std::chrono::steady_clock;
using RunnerStatus = std::expected<void, SlmRunnerError>;

std::unexpected<SlmRunnerError> failed(SlmRunnerError error) {
  return std::unexpected(std::move(error));
}

RunnerStatus validate_command(const std::vector<std::string>& command) {
  if (!command.empty() && command.front().contains('/')) return {};
  return failed(SlmRunnerError(runner_error::InvalidInput{
      "command", "must begin with the path of a program, as in /usr/bin/python3"}));
}

}  // namespace

ProcessRunner::Impl::Impl(EngineSpec spec_in,
                          ModelResourceRequirements requirements_in,
                          ProcessRunnerOptions options_in)
    : spec(std::move(spec_in)),
      requirements(std::move(requirements_in)),
      options(std::move(options_in)) {}

RunnerStatus ProcessRunner::Impl::ensure_engine(const Patience& patience) {
  if (session != nullptr && session->is_alive()) return {};
  session.reset();
  pid = 0;
  SYMBIONT_TRY_STATUS(backoff.wait_out(patience));
  auto started = EngineSession::start(spec, patience);
  if (!started.has_value()) {
    backoff.note_failure(started.error());
    return failed(std::move(started).error());
  }
  backoff.note_success();
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
  const RunnerStatus entered = enter(turnstile, patience);
  timing.queue_ms = elapsed_ms(called);
  if (!entered.has_value()) return entered;
  const Turn turn(turnstile);

  const auto load_started = steady_clock::now();
  const bool was_warm = session != nullptr && session->is_alive();
  RunnerStatus outcome = ensure_engine(patience);
  if (!was_warm) timing.load_ms = elapsed_ms(load_started);
  if (!outcome.has_value()) {
    tell_of_failed_start(outcome.error(), result.metadata);
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
  result.metadata = new_metadata(impl_->options, impl_->spec.profile);
  RunnerStatus outcome = validate_options(options, {});
  if (outcome.has_value()) outcome = validate_plain_sampling(options);
  if (outcome.has_value()) outcome = validate_messages(messages);
  if (outcome.has_value()) {
    const Patience patience =
        make_patience(impl_->spec.profile, options.timeout, std::move(stop_token));
    outcome = impl_->run(messages, options, sink, patience, result);
  }
  return conclude(std::move(outcome), std::move(result), called);
}

const SandboxProfile& ProcessRunner::get_sandbox_profile() const {
  return impl_->spec.profile;
}

const ModelResourceRequirements& ProcessRunner::get_resource_requirements() const {
  return impl_->requirements;
}

std::expected<void, SlmRunnerError> ProcessRunner::health_check() {
  const Patience patience = make_patience(impl_->spec.profile, kMaxTimeout, {});
  SYMBIONT_TRY_STATUS(enter(impl_->turnstile, patience));
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
