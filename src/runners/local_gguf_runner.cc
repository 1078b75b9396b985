#include "symbiont/local_gguf_runner.h"

#include <utility>

#include <fmt/core.h>

#include "runners/local_gguf_runner_impl.h"
#include "runners/validate.h"
#include "runners/warm_runner.h"

namespace symbiont {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using RunnerStatus = std::expected<void, SlmRunnerError>;

constexpr std::size_t kMaxScopes = 10'000;  // then all are forgotten: their prompts are read again
constexpr std::string_view kWorkerName = "symbiont-worker";

std::unexpected<SlmRunnerError> failed(SlmRunnerError error) {
  return std::unexpected(std::move(error));
}

/// Local workers never get network, whatever the profile says (least privilege).
SandboxProfile without_network(SandboxProfile profile) {
  profile.network = {};
  return profile;
}

RunnerStatus validate(const LocalGgufOptions& options) {
  SYMBIONT_TRY_STATUS(validate_isolation(options.isolation));
  if (options.context_tokens > kMaxNewTokens) {
    return failed(SlmRunnerError(runner_error::InvalidInput{
        "context_tokens", fmt::format("{} is above {}", options.context_tokens, kMaxNewTokens)}));
  }
  if (options.max_parallel == 0 || options.max_parallel > ipc::kMaxSequences) {
    return failed(SlmRunnerError(runner_error::InvalidInput{
        "max_parallel",
        fmt::format("{} is not within 1 .. {}", options.max_parallel, ipc::kMaxSequences)}));
  }
  return {};
}

}  // namespace

// SandboxHost ------------------------------------------------------------------------------------

SandboxHost::SandboxHost(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SandboxHost::~SandboxHost() = default;

std::shared_ptr<SandboxHost> SandboxHost::create(std::filesystem::path program_directory) {
  auto impl = std::make_unique<Impl>();
  impl->launcher =
      sandbox::make_launcher(program_directory.empty() ? std::filesystem::path()
                                                       : program_directory / "symbiont-launcher");
  impl->program_directory = std::move(program_directory);
  return std::shared_ptr<SandboxHost>(new SandboxHost(std::move(impl)));
}

// Impl -------------------------------------------------------------------------------------------

LocalGgufRunner::Impl::Impl(LocalRunnerParts parts_in,
                            ModelFile model_in,
                            SandboxProfile profile_in,
                            ModelResourceRequirements requirements_in,
                            LocalGgufOptions options_in)
    : parts(std::move(parts_in)),
      profile(std::move(profile_in)),
      requirements(std::move(requirements_in)),
      options(std::move(options_in)),
      turnstile(options.max_parallel),
      model(std::move(model_in)) {}

std::shared_ptr<WorkerSession> LocalGgufRunner::Impl::live_session() {
  const MutexLock lock(mutex);
  return session != nullptr && session->is_alive() ? session : nullptr;
}

LocalGgufRunner::Impl::SessionOutcome LocalGgufRunner::Impl::ensure_worker(
    const Patience& patience) {
  if (auto live = live_session()) return live;
  SYMBIONT_TRY_STATUS(enter(starting, patience));
  const Turn turn(starting);
  if (auto live = live_session()) return live;  // another caller was faster
  std::shared_ptr<WorkerSession> dead;
  {
    const MutexLock lock(mutex);
    dead.swap(session);
  }
  worker_pid = 0;
  dead.reset();
  SYMBIONT_TRY_STATUS(backoff.wait_out(patience));
  auto started = start_session(patience);
  if (!started.has_value()) {
    backoff.note_failure(started.error());
    return started;
  }
  backoff.note_success();
  worker_pid = (*started)->pid();
  const MutexLock lock(mutex);
  session = *started;
  engine = session->ready().engine;
  sha256 = model.checked_sha256();
  return started;
}

LocalGgufRunner::Impl::SessionOutcome LocalGgufRunner::Impl::start_session(
    const Patience& patience) {
  std::filesystem::path program = parts.worker_program;
  if (program.empty()) {
    const auto found = sandbox::find_program(kWorkerName);
    if (!found.has_value()) {
      return failed(SlmRunnerError(runner_error::InitializationFailed{found.error().message()}));
    }
    program = *found;
  }
  WorkerSpec spec{
      .policy =
          sandbox::worker_policy(without_network(profile), std::move(program), options.strict),
      .context_tokens = options.context_tokens,
      .max_sequences = static_cast<std::uint16_t>(options.max_parallel),
      .embeddings = options.embeddings,
      .cancel_grace = parts.cancel_grace,
      .on_load_progress = options.on_load_progress,
  };
  SYMBIONT_TRY(StartedWorker started, start_worker(*parts.launcher, spec, model, patience));
  return std::make_shared<WorkerSession>(std::move(started), std::move(spec), model.path());
}

std::uint64_t LocalGgufRunner::Impl::cache_key(const std::string& scope) {
  const MutexLock lock(mutex);
  if (scopes.size() >= kMaxScopes && !scopes.contains(scope)) scopes.clear();
  const auto [found, is_new] = scopes.try_emplace(scope, next_cache_key);
  if (is_new) ++next_cache_key;  // no key is given twice
  return found->second;
}

RunnerStatus LocalGgufRunner::Impl::run(std::span<const ChatMessage> messages,
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
  const bool was_warm = live_session() != nullptr;
  const SessionOutcome worker = ensure_worker(patience);
  if (!was_warm) timing.load_ms = elapsed_ms(load_started);
  {
    const MutexLock lock(mutex);
    result.metadata.model_sha256 = sha256;
  }
  if (!worker.has_value()) {
    tell_of_failed_start(worker.error(), result.metadata);
    return failed(worker.error());
  }
  const double before_ms = elapsed_ms(called);
  RunnerStatus outcome =
      (*worker)->execute(messages, execution_options, cache_key(execution_options.cache_scope),
                         sink, patience, result);
  if (timing.first_token_ms > 0) timing.first_token_ms += before_ms;
  if (!(*worker)->is_alive()) {
    const MutexLock lock(mutex);
    if (session == *worker) {
      session.reset();
      worker_pid = 0;
    }
  }
  return outcome;
}

// LocalGgufRunner --------------------------------------------------------------------------------

std::expected<std::unique_ptr<LocalGgufRunner>, SlmRunnerError> make_local_gguf_runner(
    LocalRunnerParts parts,
    const std::filesystem::path& model_file,
    const SandboxProfile& profile,
    const ModelResourceRequirements& requirements,
    LocalGgufOptions options) {
  SYMBIONT_TRY_STATUS(validate_profile(profile, requirements));
  SYMBIONT_TRY_STATUS(validate(options));
  SYMBIONT_TRY(ModelFile model, ModelFile::open(model_file, options.sha256));
  if (options.model_id.empty()) options.model_id = model_file.filename().string();
  return std::make_unique<LocalGgufRunner>(std::make_unique<LocalGgufRunner::Impl>(
      std::move(parts), std::move(model), profile, requirements, std::move(options)));
}

std::expected<std::unique_ptr<LocalGgufRunner>, SlmRunnerError> LocalGgufRunner::create(
    const std::filesystem::path& model_file,
    const SandboxProfile& profile,
    const ModelResourceRequirements& requirements,
    LocalGgufOptions options) {
  if (options.host == nullptr) options.host = SandboxHost::create();
  const SandboxHost::Impl& host = options.host->impl();
  LocalRunnerParts parts{.launcher = host.launcher, .worker_program = {}};
  if (!host.program_directory.empty()) {
    parts.worker_program = host.program_directory / kWorkerName;
  }
  return make_local_gguf_runner(std::move(parts), model_file, profile, requirements,
                                std::move(options));
}

LocalGgufRunner::LocalGgufRunner(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LocalGgufRunner::~LocalGgufRunner() = default;

SlmRunner::Outcome LocalGgufRunner::execute_chat(std::span<const ChatMessage> messages,
                                                 const ExecutionOptions& options,
                                                 const TokenSink& sink,
                                                 std::stop_token stop_token) {
  const auto called = steady_clock::now();
  ExecutionResult result;
  result.metadata = new_metadata(impl_->options, impl_->profile);
  RunnerStatus outcome = validate_options(options, {});
  if (outcome.has_value())
    outcome = options.embed ? validate_inputs(messages) : validate_messages(messages);
  if (outcome.has_value() && options.embed && !impl_->options.embeddings) {
    outcome = failed(SlmRunnerError(
        runner_error::InvalidInput{"embed", "this runner was not told to make embeddings"}));
  }
  if (outcome.has_value() && options.raw && messages.size() != 1) {
    outcome = failed(SlmRunnerError(
        runner_error::InvalidInput{"messages", "a raw prompt is exactly one message"}));
  }
  if (outcome.has_value()) {
    const Patience patience = make_patience(impl_->profile, options.timeout, std::move(stop_token));
    outcome = impl_->run(messages, options, sink, patience, result);
  }
  return conclude(std::move(outcome), std::move(result), called);
}

const SandboxProfile& LocalGgufRunner::get_sandbox_profile() const {
  return impl_->profile;
}

const ModelResourceRequirements& LocalGgufRunner::get_resource_requirements() const {
  return impl_->requirements;
}

std::expected<void, SlmRunnerError> LocalGgufRunner::health_check() {
  const Patience patience = make_patience(impl_->profile, kMaxTimeout, {});
  SYMBIONT_TRY([[maybe_unused]] const auto worker, impl_->ensure_worker(patience));
  return {};
}

RunnerInfo LocalGgufRunner::get_info() const {
  const MutexLock lock(impl_->mutex);
  return {.name = "LocalGgufRunner",
          .version = impl_->engine,
          .model = impl_->options.model_id,
          .streams = true,
          .sandboxed = true};
}

int LocalGgufRunner::worker_pid() const {
  return impl_->worker_pid;
}

}  // namespace symbiont
