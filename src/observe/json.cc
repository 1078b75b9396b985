#include "observe/json.h"

#include <string>

namespace symbiont::observe {
namespace {

/// Adds the details of each kind of error beside code and message.
struct AddDetails {
  Json& into;
  void operator()(const runner_error::InitializationFailed& e) const { into["reason"] = e.reason; }
  void operator()(const runner_error::ExecutionFailed& e) const { into["reason"] = e.reason; }
  void operator()(const runner_error::ResourceLimitExceeded& e) const {
    into["resource"] = e.resource;
    into["limit"] = e.limit;
    into["peak"] = e.peak;
  }
  void operator()(const runner_error::SandboxViolation& e) const { into["what"] = e.what; }
  void operator()(const runner_error::ModelFileNotFound& e) const { into["path"] = e.path; }
  void operator()(const runner_error::ModelInvalid& e) const {
    into["path"] = e.path;
    into["reason"] = e.reason;
  }
  void operator()(const runner_error::ExecutionTimeout& e) const {
    into["limit_ms"] = e.limit.count();
  }
  void operator()(const runner_error::Cancelled&) const {}
  void operator()(const runner_error::InvalidInput& e) const {
    into["field"] = e.field;
    into["reason"] = e.reason;
  }
  void operator()(const runner_error::ControlUnavailable& e) const {
    into["controls"] = e.controls;
    into["reason"] = e.reason;
  }
  void operator()(const runner_error::IoError& e) const {
    into["what"] = e.what;
    into["errno"] = e.sys_errno;
  }
};

void add_limit(Json& json, const Verdict& verdict) {
  json["limit_bytes"] = verdict.limit_bytes;
  json["peak_bytes"] = verdict.peak_bytes;
}

/// `metadata` with `middle` (the text or the error) where the answer stands.
Json render(const ExecutionMetadata& metadata, const Json& middle) {
  Json json;
  json["execution_id"] = metadata.execution_id;
  json["model"] = {{"id", metadata.model_id},
                   {"version", metadata.model_version},
                   {"sha256", metadata.model_sha256}};
  json["agent"] = metadata.agent;
  json["profile"] = metadata.profile;
  json["isolation"] = metadata.isolation;
  json.update(middle);
  json["finish_reason"] = metadata.finish_reason;
  json["usage"] = {{"prompt_tokens", metadata.usage.prompt_tokens},
                   {"completion_tokens", metadata.usage.completion_tokens},
                   {"cached_tokens", metadata.usage.cached_tokens}};
  json["timing_ms"] = {{"queue", metadata.timing.queue_ms},
                       {"load", metadata.timing.load_ms},
                       {"prefill", metadata.timing.prefill_ms},
                       {"decode", metadata.timing.decode_ms},
                       {"first_token", metadata.timing.first_token_ms},
                       {"total", metadata.timing.total_ms}};
  json["resources"] = {{"peak_memory_bytes", metadata.resources.peak_memory_bytes},
                       {"memory_limit_bytes", metadata.resources.memory_limit_bytes},
                       {"cpu_time_ms", metadata.resources.cpu_time_ms},
                       {"throttled_ms", metadata.resources.throttled_ms}};
  json["verdict"] = to_json(metadata.verdict);
  json["controls"] = to_json(metadata.controls);
  return json;
}

}  // namespace

Json to_json(const Verdict& verdict) {
  Json json = {{"kind", std::string(to_string(verdict.kind))}};
  switch (verdict.kind) {
    case VerdictKind::Exited:
      json["exit_code"] = verdict.exit_code;
      break;
    case VerdictKind::Signaled:
      json["signal"] = verdict.signal;
      break;
    case VerdictKind::MemoryLimit:
    case VerdictKind::DiskLimit:
    case VerdictKind::FileSizeLimit:
      add_limit(json, verdict);
      break;
    case VerdictKind::TimeLimit:
      json["elapsed_ms"] = verdict.elapsed.count();
      break;
    case VerdictKind::SyscallDenied:
      json["syscall"] = verdict.syscall;
      break;
    case VerdictKind::SetupFailed:
      json["step"] = verdict.step;
      json["errno"] = verdict.sys_errno;
      break;
    case VerdictKind::Running:
    case VerdictKind::CpuTimeLimit:
    case VerdictKind::ProcessLimit:
    case VerdictKind::FsDenied:
    case VerdictKind::NetDenied:
    case VerdictKind::Killed:
      break;
  }
  if (!verdict.phase.empty()) json["phase"] = verdict.phase;
  if (!verdict.subject.empty()) json["subject"] = verdict.subject;
  if (verdict.port != 0) json["port"] = verdict.port;
  if (!verdict.reason.empty()) json["reason"] = verdict.reason;
  return json;
}

Json to_json(const ControlReport& controls) {
  Json json = Json::object();
  for (const auto& [name, control] : controls) {
    const bool enforced = control.state == ControlState::Enforced;
    json[name] = {{"state", std::string(to_string(control.state))},
                  {enforced ? "mechanism" : "reason", control.detail}};
  }
  return json;
}

Json to_json(const ExecutionMetadata& metadata) {
  return render(metadata, Json::object());
}

Json to_json(const ExecutionResult& result) {
  return render(result.metadata, {{"response", result.response}});
}

Json to_json(const SlmRunnerError& error) {
  Json details = {{"code", std::string(error.kind())}, {"message", error.message()}};
  std::visit(AddDetails{details}, error.detail());
  return render(error.metadata(),
                {{"error", details}, {"partial_response", error.partial_response()}});
}

std::string dump(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace symbiont::observe
