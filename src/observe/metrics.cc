#include "observe/metrics.h"

#include <array>
#include <cstdint>
#include <set>
#include <string_view>
#include <utility>

#include "base/mutex.h"
#include "observe/prometheus_text.h"

namespace symbiont::observe {
namespace {

// Seconds.
constexpr std::array kTimeBounds = {0.01, 0.025, 0.05, 0.1,  0.25, 0.5,  1.0,
                                    2.5,  5.0,   10.0, 30.0, 60.0, 300.0};
constexpr std::array kTokenBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0};

/// Which limit ended a worker; empty when none did.
std::string_view limit_of(VerdictKind kind) {
  switch (kind) {
    case VerdictKind::MemoryLimit:
      return "memory";
    case VerdictKind::CpuTimeLimit:
      return "cpu_time";
    case VerdictKind::TimeLimit:
      return "time";
    case VerdictKind::DiskLimit:
      return "disk";
    case VerdictKind::FileSizeLimit:
      return "file_size";
    case VerdictKind::ProcessLimit:
      return "processes";
    case VerdictKind::SyscallDenied:
      return "syscalls";
    case VerdictKind::FsDenied:
      return "filesystem";
    case VerdictKind::NetDenied:
      return "network";
    case VerdictKind::Running:
    case VerdictKind::Exited:
    case VerdictKind::Signaled:
    case VerdictKind::Killed:
    case VerdictKind::SetupFailed:
      return {};
  }
  return {};
}

std::string_view reason_of(const ModelCatalogError& denied) {
  using E = ModelCatalogError;
  if (denied.get_if<E::ModelNotFound>() != nullptr) return "model_not_found";
  if (denied.get_if<E::AccessDenied>() != nullptr) return "access_denied";
  if (denied.get_if<E::NoModelsForAgent>() != nullptr) return "no_models_for_agent";
  return "configuration";
}

double seconds(double milliseconds) {
  return milliseconds / 1000;
}

}  // namespace

struct Metrics::Families {
  using Kind = ScalarFamily::Kind;

  /// Agent and model, while there are not too many of them.
  [[nodiscard]] Labels labels_of(std::string_view agent, std::string_view model_id)
      SYMBIONT_REQUIRES(mutex) {
    std::pair key{std::string(agent), std::string(model_id)};
    Labels labels = {{"agent", key.first}, {"model", key.second}};
    if (!seen.contains(key)) {
      if (seen.size() >= kMaxLabelSets) return {{"agent", "other"}, {"model", "other"}};
      seen.insert(std::move(key));
    }
    return labels;
  }
  void count(const ExecutionMetadata& metadata, const SlmRunnerError* error)
      SYMBIONT_REQUIRES(mutex);
  void time(const ExecutionMetadata& metadata) SYMBIONT_REQUIRES(mutex);

  mutable Mutex mutex;
  std::set<std::pair<std::string, std::string>> seen SYMBIONT_GUARDED_BY(mutex);
  ScalarFamily executions SYMBIONT_GUARDED_BY(mutex){Kind::Counter, "symbiont_executions_total",
                                                     "Executions that ended, by outcome."};
  ScalarFamily tokens SYMBIONT_GUARDED_BY(mutex){
      Kind::Counter, "symbiont_tokens_total",
      "Tokens by kind: prompt, cached (a part of prompt), completion."};
  ScalarFamily denied SYMBIONT_GUARDED_BY(mutex){Kind::Counter, "symbiont_denied_total",
                                                 "Requests that the catalogue refused."};
  ScalarFamily kills SYMBIONT_GUARDED_BY(mutex){
      Kind::Counter, "symbiont_sandbox_kills_total",
      "Workers that were ended by a limit or a rule of their sandbox."};
  ScalarFamily restarts SYMBIONT_GUARDED_BY(mutex){
      Kind::Counter, "symbiont_worker_restarts_total",
      "Workers that were started in the place of one that had ended."};
  HistogramFamily duration SYMBIONT_GUARDED_BY(mutex){
      "symbiont_execution_seconds", "From the request to the last token.", kTimeBounds};
  HistogramFamily first_token SYMBIONT_GUARDED_BY(mutex){
      "symbiont_time_to_first_token_seconds", "From the request to the first token.", kTimeBounds};
  HistogramFamily token_latency SYMBIONT_GUARDED_BY(mutex){
      "symbiont_inter_token_latency_seconds",
      "Time between tokens; the mean of each execution is one observation.", kTokenBounds};
  ScalarFamily memory SYMBIONT_GUARDED_BY(mutex){
      Kind::Gauge, "symbiont_memory_peak_ratio",
      "Peak memory of the last execution over its limit."};
  ScalarFamily controls SYMBIONT_GUARDED_BY(mutex){
      Kind::Gauge, "symbiont_control_state",
      "Controls of the last execution: 1 enforced, 0.5 degraded, 0 unavailable."};
  ScalarFamily load SYMBIONT_GUARDED_BY(mutex){Kind::Gauge, "symbiont_queue_depth",
                                               "Executions that wait and that run."};
};

Metrics::Metrics() : families_(std::make_unique<Families>()) {
  set_load(0, 0);
}
Metrics::~Metrics() = default;

bool Metrics::on_access(const AccessRecord& record) {
  if (record.denied == nullptr) return true;
  const MutexLock lock(families_->mutex);
  families_->denied.add({{"reason", std::string(reason_of(*record.denied))}}, 1);
  return true;
}

void Metrics::on_worker_restart(std::string_view agent, std::string_view model_id) {
  const MutexLock lock(families_->mutex);
  families_->restarts.add(families_->labels_of(agent, model_id), 1);
}

void Metrics::Families::count(const ExecutionMetadata& metadata, const SlmRunnerError* error) {
  const Labels labels = labels_of(metadata.agent, metadata.model_id);
  const auto with = [&labels](std::string_view name, std::string_view value) {
    Labels more = labels;
    more.emplace_back(name, value);
    return more;
  };
  executions.add(with("outcome", error == nullptr ? "ok" : error->kind()), 1);
  tokens.add(with("kind", "prompt"), metadata.usage.prompt_tokens);
  tokens.add(with("kind", "cached"), metadata.usage.cached_tokens);
  tokens.add(with("kind", "completion"), metadata.usage.completion_tokens);
  if (const std::string_view limit = limit_of(metadata.verdict.kind); !limit.empty()) {
    kills.add(with("limit", limit), 1);
  }
  if (metadata.resources.memory_limit_bytes > 0) {
    memory.set(labels, static_cast<double>(metadata.resources.peak_memory_bytes) /
                           static_cast<double>(metadata.resources.memory_limit_bytes));
  }
  for (const auto& [name, control] : metadata.controls) {
    double state = 0;
    if (control.state == ControlState::Enforced) state = 1;
    if (control.state == ControlState::Degraded) state = 0.5;
    controls.set({{"control", name}}, state);
  }
}

void Metrics::Families::time(const ExecutionMetadata& metadata) {
  const Labels labels = labels_of(metadata.agent, metadata.model_id);
  const std::uint32_t generated = metadata.usage.completion_tokens;
  duration.observe(labels, seconds(metadata.timing.total_ms));
  if (generated > 0) first_token.observe(labels, seconds(metadata.timing.first_token_ms));
  if (generated > 1) {
    token_latency.observe(labels, seconds(metadata.timing.decode_ms) / (generated - 1));
  }
}

bool Metrics::on_finished(const ExecutionMetadata& metadata, const SlmRunnerError* error) {
  const MutexLock lock(families_->mutex);
  families_->count(metadata, error);
  families_->time(metadata);
  return true;
}

void Metrics::set_load(std::size_t queued, std::size_t running) {
  const MutexLock lock(families_->mutex);
  families_->load.set({{"state", "queued"}}, static_cast<double>(queued));
  families_->load.set({{"state", "running"}}, static_cast<double>(running));
}

std::string Metrics::text() const {
  const MutexLock lock(families_->mutex);
  const Families& f = *families_;
  std::string out;
  for (const ScalarFamily* family : {&f.executions, &f.tokens, &f.denied, &f.kills, &f.restarts,
                                     &f.memory, &f.controls, &f.load})
    family->append_to(out);
  for (const HistogramFamily* family : {&f.duration, &f.first_token, &f.token_latency})
    family->append_to(out);
  return out;
}

}  // namespace symbiont::observe
