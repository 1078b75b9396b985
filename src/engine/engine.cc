#include "symbiont/engine.h"

#include <optional>
#include <span>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/core.h>

#include "symbiont/local_gguf_runner.h"
#include "symbiont/process_runner.h"

#include "access/grant.h"
#include "base/mutex.h"
#include "base/result.h"
#include "engine/quarantine.h"
#include "engine/runner_cache.h"
#include "engine/spares.h"

namespace symbiont {
namespace {

std::unexpected<EngineError> failed(EngineError error) {
  return std::unexpected(std::move(error));
}

SlmRunner::Outcome execute(SlmRunner& runner,
                           const EngineRequest& request,
                           const TokenSink& sink,
                           const std::stop_token& stop_token) {
  ExecutionOptions options = request.options;
  options.cache_scope = request.agent;
  if (request.messages.empty()) {
    return runner.execute(request.prompt, options, sink, stop_token);
  }
  if (!request.prompt.empty()) {
    return std::unexpected(SlmRunnerError(
        runner_error::InvalidInput{"prompt", "must be empty when there are messages"}));
  }
  return runner.execute_chat(request.messages, options, sink, stop_token);
}

}  // namespace

std::string message(const EngineError& error) {
  return std::visit([](const auto& e) { return e.message(); }, error);
}

RunnerFactory make_default_runner_factory(std::shared_ptr<SandboxHost> host) {
  return [host = std::move(host)](const RunnerRequest& request)
             -> std::expected<std::shared_ptr<SlmRunner>, SlmRunnerError> {
    const Model& model = request.model;
    const std::string agent =
        model.isolation == Isolation::Shared ? "" : std::string(request.agent);
    if (const auto* process = std::get_if<provider::Process>(&model.provider)) {
      ProcessRunnerOptions options;
      options.model_id = model.id;
      options.model_version = model.version;
      options.agent = agent;
      options.isolation = std::string(to_string(model.isolation));
      options.strict = request.strict;
      options.host = host;
      return ProcessRunner::create(process->command, request.profile, model.resource_requirements,
                                   std::move(options));
    }
    const auto* file = std::get_if<provider::LocalFile>(&model.provider);
    if (file == nullptr) {
      return std::unexpected(SlmRunnerError(runner_error::InitializationFailed{fmt::format(
          "model '{}': provider {} has no runner", model.id, provider_name(model.provider))}));
    }
    LocalGgufOptions options;
    options.model_id = model.id;
    options.model_version = model.version;
    options.agent = agent;
    options.isolation = std::string(to_string(model.isolation));
    if (!model.sha256.empty()) options.sha256 = model.sha256;
    options.strict = request.strict;
    options.on_load_progress = request.on_load_progress;
    options.max_parallel = request.max_parallel;
    options.embeddings = model.capabilities.contains(ModelCapability::Embeddings);
    options.host = host;
    return LocalGgufRunner::create(file->file_path, request.profile, model.resource_requirements,
                                   std::move(options));
  };
}

namespace {

/// Whether an execution found no worker and got one. A start that came to nothing is none.
bool started_worker(const SlmRunner::Outcome& outcome) {
  if (outcome.has_value()) return outcome->metadata.timing.load_ms > 0;
  const ExecutionMetadata& metadata = outcome.error().metadata();
  return metadata.timing.load_ms > 0 &&
         (metadata.usage.prompt_tokens > 0 || Quarantine::is_death(outcome.error()));
}

/// Whether a worker can be started before anybody asks: engines of others may want to know more.
bool has_spares(const Model& model) {
  return model.isolation == Isolation::Request &&
         std::holds_alternative<provider::LocalFile>(model.provider);
}

/// What the request and its grant say of an execution.
void complete(ExecutionMetadata& metadata,
              const EngineRequest& request,
              const access::Grant& grant) {
  if (!request.execution_id.empty()) metadata.execution_id = request.execution_id;
  metadata.timing.queue_ms += static_cast<double>(request.queued.count());
  metadata.timing.total_ms += static_cast<double>(request.queued.count());
  metadata.model_id = grant.model().id;
  metadata.model_version = grant.model().version;
  metadata.agent = request.agent;
  metadata.profile = grant.profile().name;
  metadata.isolation = std::string(to_string(grant.model().isolation));
}

}  // namespace

struct Engine::Impl {
  Impl(ModelCatalog catalog_in, EngineOptions options)
      : catalog(std::move(catalog_in)),
        observer(std::move(options.observer)),
        on_load_progress(std::move(options.on_load_progress)),
        max_parallel(options.max_parallel),
        runners(std::move(options.runner_factory),
                {options.max_runners, options.memory_budget_bytes},
                std::chrono::steady_clock::now),
        quarantine(std::chrono::steady_clock::now) {
    if (options.spare_runners) spares.emplace(runners);
  }

  /// Which profile an execution runs under; a request may name another one only where the
  /// configuration allows it.
  [[nodiscard]] SlmRunner::Outcome run(const EngineRequest& request,
                                       const access::Grant& grant,
                                       bool strict,
                                       const TokenSink& sink,
                                       const std::stop_token& stop_token);
  [[nodiscard]] SlmRunner::Outcome execute_on(const RunnerRequest& wanted,
                                              const EngineRequest& request,
                                              const TokenSink& sink,
                                              const std::stop_token& stop_token);
  /// Whether it could be written.
  [[nodiscard]] bool record_access(
      const EngineRequest& request,
      const std::expected<access::Grant, ModelCatalogError>& grant) const;
  /// Ends them on a thread of its own: whoever reloads a server has others to serve.
  void retire(RunnerCache::Runners dropped);
  [[nodiscard]] ModelCatalog current() {
    const MutexLock lock(mutex);
    return catalog;
  }

  Mutex mutex;
  ModelCatalog catalog SYMBIONT_GUARDED_BY(mutex);
  std::shared_ptr<Observer> observer;  // may be null
  std::function<void(float)> on_load_progress;
  std::size_t max_parallel;
  RunnerCache runners;
  Quarantine quarantine;
  std::optional<Spares> spares;
  Mutex retiring_mutex;
  std::jthread retiring SYMBIONT_GUARDED_BY(retiring_mutex);  // ends what a reload has dropped
};

/// Nobody gets from a model what its configuration does not say of it.
std::expected<void, SlmRunnerError> check_capability(const Model& model,
                                                     const ExecutionOptions& options) {
  if (!options.embed || model.capabilities.contains(ModelCapability::Embeddings)) return {};
  return std::unexpected(SlmRunnerError(runner_error::InvalidInput{
      "model",
      fmt::format("'{}' makes no embeddings: its capabilities are without Embeddings", model.id)}));
}

bool Engine::Impl::record_access(
    const EngineRequest& request,
    const std::expected<access::Grant, ModelCatalogError>& grant) const {
  const AccessRecord record{
      .agent = request.agent,
      .model_id = request.model_id,
      .profile = grant.has_value() ? std::string_view(grant->profile().name) : std::string_view(),
      .denied = grant.has_value() ? nullptr : &grant.error()};
  return observer == nullptr || observer->on_access(record);
}

void Engine::Impl::retire(RunnerCache::Runners dropped) {
  if (dropped.empty()) return;
  const MutexLock lock(retiring_mutex);
  const auto held = std::make_shared<RunnerCache::Runners>(std::move(dropped));
  try {
    retiring = std::jthread([held] { held->clear(); });
  } catch (const std::system_error&) {
    held->clear();  // no thread to be had: here, then
  }
}

SlmRunner::Outcome Engine::Impl::execute_on(const RunnerRequest& wanted,
                                            const EngineRequest& request,
                                            const TokenSink& sink,
                                            const std::stop_token& stop_token) {
  SYMBIONT_TRY_STATUS(check_capability(wanted.model, request.options));
  const RunnerCache::Key key = RunnerCache::key_of(wanted);
  SYMBIONT_TRY_STATUS(quarantine.check(key));
  SYMBIONT_TRY(std::shared_ptr<SlmRunner> runner, runners.get(wanted));
  const std::uint64_t workers = runners.workers_of(wanted);
  SlmRunner::Outcome outcome = execute(*runner, request, sink, stop_token);
  runners.used(wanted, outcome);
  if (outcome.has_value() && request.options.embed &&
      outcome->embeddings.size() != request.messages.size()) {
    outcome = std::unexpected(SlmRunnerError(runner_error::ExecutionFailed{fmt::format(
        "{} embeddings came for {} texts", outcome->embeddings.size(), request.messages.size())}));
  }
  const bool is_restart = started_worker(outcome) && runners.note_worker(wanted, workers);
  if (is_restart && observer != nullptr)
    observer->on_worker_restart(request.agent, wanted.model.id);
  if (!outcome.has_value() && Quarantine::is_death(outcome.error())) {
    quarantine.note(key, outcome.error());
  } else if (spares.has_value() && has_spares(wanted.model)) {
    runner.reset();  // its worker leaves room
    spares->want(wanted);
  }
  return outcome;
}

SlmRunner::Outcome Engine::Impl::run(const EngineRequest& request,
                                     const access::Grant& grant,
                                     bool strict,
                                     const TokenSink& sink,
                                     const std::stop_token& stop_token) {
  const Model& model = grant.model();
  const SandboxProfile& profile = grant.profile();
  const RunnerRequest wanted{
      .model = model,
      .profile = profile,
      .agent = request.agent,
      .strict = strict,
      .on_load_progress = on_load_progress,
      .max_parallel = model.isolation == Isolation::Request ? 1 : max_parallel};
  SlmRunner::Outcome outcome = execute_on(wanted, request, sink, stop_token);
  ExecutionMetadata metadata = outcome.has_value() ? outcome->metadata : outcome.error().metadata();
  complete(metadata, request, grant);
  if (outcome.has_value()) {
    outcome->metadata = std::move(metadata);
  } else {
    std::string partial = outcome.error().partial_response();
    outcome.error().set_context(std::move(partial), std::move(metadata));
  }
  return outcome;
}

Engine::Engine(ModelCatalog catalog, EngineOptions options) {
  if (options.runner_factory == nullptr) {
    options.runner_factory = make_default_runner_factory(SandboxHost::create());
  }
  impl_ = std::make_unique<Impl>(std::move(catalog), std::move(options));
}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() = default;

ModelCatalog Engine::catalog() const {
  return impl_->current();
}

void Engine::reload(ModelCatalog catalog) {
  {
    const MutexLock lock(impl_->mutex);
    std::swap(impl_->catalog, catalog);
  }
  impl_->retire(impl_->runners.drop_outdated(impl_->current()));
  impl_->quarantine.clear();
}

std::size_t Engine::unload_idle(std::chrono::milliseconds unused_for) {
  return impl_->runners.unload_idle(unused_for);
}

Engine::Outcome Engine::run(const EngineRequest& request,
                            const TokenSink& sink,
                            const std::stop_token& stop_token) {
  Observer* observer = impl_->observer.get();
  const ModelCatalog catalog = impl_->current();
  const auto grant = access::check(catalog, request.agent, request.model_id, request.profile);
  const bool recorded = impl_->record_access(request, grant);
  if (!grant.has_value()) return failed(grant.error());
  const bool must_record = grant->profile().security.enable_audit_logging;
  const auto unrecorded = [] {
    return failed(SlmRunnerError(runner_error::ExecutionFailed{
        "the audit record could not be written, and the profile has enable_audit_logging"}));
  };
  if (!recorded && must_record) return unrecorded();

  SlmRunner::Outcome outcome =
      impl_->run(request, *grant, catalog.enforcement() == Enforcement::Strict, sink, stop_token);

  const SlmRunnerError* error = outcome.has_value() ? nullptr : &outcome.error();
  const ExecutionMetadata& metadata = error == nullptr ? outcome->metadata : error->metadata();
  if (observer != nullptr && !observer->on_finished(metadata, error) && must_record) {
    return unrecorded();
  }
  if (outcome.has_value()) return *std::move(outcome);
  return failed(std::move(outcome).error());
}

Engine::Outcome Engine::end_unrun(const EngineRequest& request, SlmRunnerError error) {
  const ModelCatalog catalog = impl_->current();
  const auto grant = access::check(catalog, request.agent, request.model_id, request.profile);
  // Nothing ran and nothing is answered: a record that cannot be written has nothing to hold back.
  (void)impl_->record_access(request, grant);
  if (!grant.has_value()) return failed(grant.error());
  ExecutionMetadata metadata = error.metadata();
  complete(metadata, request, *grant);
  error.set_context(error.partial_response(), std::move(metadata));
  if (impl_->observer != nullptr) (void)impl_->observer->on_finished(error.metadata(), &error);
  return failed(std::move(error));
}

}  // namespace symbiont
