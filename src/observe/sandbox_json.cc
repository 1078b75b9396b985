#include "observe/sandbox_json.h"

#include <string_view>

namespace symbiont::observe {
namespace {

std::string_view to_string(Denial::Kind kind) {
  switch (kind) {
    case Denial::Kind::Syscall:
      return "syscall";
    case Denial::Kind::File:
      return "file";
    case Denial::Kind::Network:
      return "network";
    case Denial::Kind::Process:
      return "process";
  }
  return "unknown";
}

double to_ms(std::chrono::microseconds time) {
  return static_cast<double>(time.count()) / 1000.0;
}

template <typename T>
Json list(const std::vector<T>& items) {
  Json json = Json::array();
  for (const T& item : items)
    json.push_back(to_json(item));
  return json;
}

/// A program that ends itself has a code, one that is ended has a signal, whichever limit or rule
/// the verdict names.
void add_end(Json& json, const Verdict& verdict) {
  json["exit_code"] = nullptr;
  json["signal"] = nullptr;
  if (verdict.kind == VerdictKind::Running || verdict.kind == VerdictKind::SetupFailed) return;
  if (verdict.signal != 0) {
    json["signal"] = verdict.signal;
  } else {
    json["exit_code"] = verdict.exit_code;
  }
}

}  // namespace

Json to_json(const SandboxUsage& usage) {
  return {{"peak_memory_bytes", usage.peak_memory_bytes},
          {"memory_limit_bytes", usage.memory_limit_bytes},
          {"cpu_time_ms", to_ms(usage.cpu_time)},
          {"throttled_ms", to_ms(usage.throttled)},
          {"elapsed_ms", usage.elapsed.count()},
          {"scratch_bytes", usage.scratch_bytes},
          {"scratch_limit_bytes", usage.scratch_limit_bytes},
          {"written_bytes", usage.written_bytes},
          {"network_sent_bytes", usage.network_sent_bytes},
          {"network_received_bytes", usage.network_received_bytes}};
}

Json to_json(const Denial& denial) {
  return {{"kind", std::string(to_string(denial.kind))},
          {"name", denial.name},
          {"port", denial.port},
          {"reason", denial.reason},
          {"count", denial.count}};
}

Json to_json(const Connection& connection) {
  return {{"host", connection.host}, {"port", connection.port}, {"address", connection.address}};
}

Json to_json(const SandboxFailure& failure) {
  Json json = {{"code", failure.code}, {"message", failure.message}};
  if (!failure.hint.empty()) json["hint"] = failure.hint;
  if (!failure.controls.empty()) json["controls"] = failure.controls;
  return json;
}

Json to_json(const SandboxRequest& request, const SandboxReport& report) {
  Json json;
  json["schema"] = kSandboxReportSchema;
  json["command"] = request.command;
  json["profile"] = request.profile;
  json["verdict"] = to_json(report.verdict);
  add_end(json, report.verdict);
  json["resources"] = to_json(report.usage);
  json["denials"] = list(report.denials);
  json["denials_dropped"] = report.denials_dropped;
  json["connections"] = list(report.connections);
  json["controls"] = to_json(report.controls);
  return json;
}

Json to_json(const SandboxRequest& request, const SandboxFailure& failure, const Verdict& verdict) {
  SandboxReport nothing;
  nothing.verdict = verdict;
  Json json = to_json(request, nothing);
  json["error"] = to_json(failure);
  return json;
}

}  // namespace symbiont::observe
