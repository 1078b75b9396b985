#include "observe/sandbox_json.h"

#include <gtest/gtest.h>

namespace symbiont::observe {
namespace {

const SandboxRequest kRequest{{"sh", "-c", "exit 3"}, "secure"};

std::vector<std::string> keys(const Json& json) {
  std::vector<std::string> names;
  for (const auto& [name, value] : json.items())
    names.push_back(name);
  return names;
}

Json with(const Verdict& verdict) {
  SandboxReport report;
  report.verdict = verdict;
  return to_json(kRequest, report);
}

TEST(SandboxJson, HasEveryKeyInOrder) {
  const Json json = with({});
  EXPECT_EQ(keys(json), (std::vector<std::string>{"schema", "command", "profile", "verdict",
                                                  "exit_code", "signal", "resources", "denials",
                                                  "denials_dropped", "connections", "controls"}));
  EXPECT_EQ(json["schema"], 1);
  EXPECT_EQ(json["command"], (std::vector<std::string>{"sh", "-c", "exit 3"}));
  EXPECT_EQ(json["profile"], "secure");
  EXPECT_EQ(json["denials"], Json::array());
  EXPECT_EQ(json["connections"], Json::array());
  EXPECT_EQ(json["controls"], Json::object());
}

struct EndCase {
  Verdict verdict;
  Json verdict_json;
  Json exit_code;
  Json signal;
};

std::vector<EndCase> end_cases() {
  using K = VerdictKind;
  using std::chrono::milliseconds;
  return {
      {{.kind = K::Running}, {{"kind", "Running"}}, nullptr, nullptr},
      {{.kind = K::Exited, .exit_code = 0}, {{"kind", "Exited"}, {"exit_code", 0}}, 0, nullptr},
      {{.kind = K::Exited, .exit_code = 3}, {{"kind", "Exited"}, {"exit_code", 3}}, 3, nullptr},
      {{.kind = K::Signaled, .signal = 11}, {{"kind", "Signaled"}, {"signal", 11}}, nullptr, 11},
      {{.kind = K::MemoryLimit, .signal = 9, .limit_bytes = 64, .peak_bytes = 63},
       {{"kind", "MemoryLimit"}, {"limit_bytes", 64}, {"peak_bytes", 63}},
       nullptr,
       9},
      {{.kind = K::CpuTimeLimit, .signal = 24}, {{"kind", "CpuTimeLimit"}}, nullptr, 24},
      {{.kind = K::TimeLimit, .signal = 9, .elapsed = milliseconds(1004)},
       {{"kind", "TimeLimit"}, {"elapsed_ms", 1004}},
       nullptr,
       9},
      {{.kind = K::DiskLimit, .exit_code = 1, .limit_bytes = 10, .peak_bytes = 10},
       {{"kind", "DiskLimit"}, {"limit_bytes", 10}, {"peak_bytes", 10}},
       1,
       nullptr},
      {{.kind = K::FileSizeLimit, .signal = 25, .limit_bytes = 10},
       {{"kind", "FileSizeLimit"}, {"limit_bytes", 10}, {"peak_bytes", 0}},
       nullptr,
       25},
      {{.kind = K::ProcessLimit, .exit_code = 2}, {{"kind", "ProcessLimit"}}, 2, nullptr},
      {{.kind = K::SyscallDenied, .signal = 31, .syscall = "ptrace"},
       {{"kind", "SyscallDenied"}, {"syscall", "ptrace"}},
       nullptr,
       31},
      {{.kind = K::FsDenied, .exit_code = 1}, {{"kind", "FsDenied"}}, 1, nullptr},
      {{.kind = K::NetDenied, .exit_code = 7}, {{"kind", "NetDenied"}}, 7, nullptr},
      {{.kind = K::Killed, .signal = 9}, {{"kind", "Killed"}}, nullptr, 9},
      {{.kind = K::SetupFailed, .step = "pivot", .sys_errno = 1},
       {{"kind", "SetupFailed"}, {"step", "pivot"}, {"errno", 1}},
       nullptr,
       nullptr},
  };
}

TEST(SandboxJson, EachVerdictHasItsFiguresAndOneEnd) {
  for (const EndCase& c : end_cases()) {
    SCOPED_TRACE(to_string(c.verdict.kind));
    const Json json = with(c.verdict);
    EXPECT_EQ(json["verdict"], c.verdict_json);
    EXPECT_EQ(json["exit_code"], c.exit_code);
    EXPECT_EQ(json["signal"], c.signal);
    EXPECT_FALSE(json.contains("error"));
  }
}

TEST(SandboxJson, FiguresKeepTheirUnits) {
  SandboxReport report;
  report.usage = {.peak_memory_bytes = 1,
                  .memory_limit_bytes = 2,
                  .cpu_time = std::chrono::microseconds(1500),
                  .throttled = std::chrono::microseconds(250),
                  .elapsed = std::chrono::milliseconds(5),
                  .scratch_bytes = 6,
                  .scratch_limit_bytes = 7,
                  .written_bytes = 8,
                  .network_sent_bytes = 9,
                  .network_received_bytes = 10};
  EXPECT_EQ(dump(to_json(kRequest, report)["resources"]),
            R"({"peak_memory_bytes":1,"memory_limit_bytes":2,"cpu_time_ms":1.5,)"
            R"("throttled_ms":0.25,"elapsed_ms":5,"scratch_bytes":6,"scratch_limit_bytes":7,)"
            R"("written_bytes":8,"network_sent_bytes":9,"network_received_bytes":10})");
}

TEST(SandboxJson, EachKindOfDenialHasItsName) {
  SandboxReport report;
  using K = Denial::Kind;
  report.denials = {{K::Syscall, "ptrace", 0, "not allowed", 1},
                    {K::File, "/etc/shadow", 0, "not visible", 2},
                    {K::Network, "example.org", 443, "not a destination", 3},
                    {K::Process, "clone", 0, "limit 4", 4}};
  report.denials_dropped = 12;
  report.connections = {{"example.org", 80, "192.0.2.1"}};
  const Json json = to_json(kRequest, report);
  const Json expected = Json::parse(R"([
    {"kind": "syscall", "name": "ptrace", "port": 0, "reason": "not allowed", "count": 1},
    {"kind": "file", "name": "/etc/shadow", "port": 0, "reason": "not visible", "count": 2},
    {"kind": "network", "name": "example.org", "port": 443, "reason": "not a destination",
     "count": 3},
    {"kind": "process", "name": "clone", "port": 0, "reason": "limit 4", "count": 4}])");
  EXPECT_EQ(json["denials"], expected);
  EXPECT_EQ(json["denials_dropped"], 12);
  EXPECT_EQ(json["connections"],
            Json::parse(R"([{"host": "example.org", "port": 80, "address": "192.0.2.1"}])"));
}

TEST(SandboxJson, BytesOfTheProgramBecomeValidText) {
  SandboxReport report;
  report.denials = {{Denial::Kind::File, "/tmp/\xFF\"\n\x1b[31m", 0, "", 1}};
  const std::string text = dump(to_json({{"a\xC3"}, "p"}, report));
  EXPECT_NE(text.find("\"/tmp/\xEF\xBF\xBD\\\"\\n\\u001b[31m\""), std::string::npos) << text;
  EXPECT_EQ(Json::parse(text)["command"][0], "a\xEF\xBF\xBD");
}

TEST(SandboxJson, AFailedStartKeepsEveryKeyAndSaysWhy) {
  const SandboxFailure failure{"ControlUnavailable", "no memory limit", "run doctor", {"memory"}};
  const Json json = to_json(kRequest, failure, {.kind = VerdictKind::SetupFailed});
  EXPECT_EQ(keys(json).back(), "error");
  EXPECT_EQ(keys(json).size(), keys(with({})).size() + 1);
  EXPECT_EQ(json["exit_code"], nullptr);
  EXPECT_EQ(json["error"], Json::parse(R"({"code": "ControlUnavailable",
    "message": "no memory limit", "hint": "run doctor", "controls": ["memory"]})"));
  const Json bare = to_json(SandboxFailure{"InvalidInput", "no such path", "", {}});
  EXPECT_EQ(keys(bare), (std::vector<std::string>{"code", "message"}));
}

}  // namespace
}  // namespace symbiont::observe
