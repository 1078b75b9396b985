#include "observe/json.h"

#include <gtest/gtest.h>

namespace symbiont::observe {
namespace {

std::vector<std::string> keys(const Json& json) {
  std::vector<std::string> names;
  for (const auto& [name, value] : json.items())
    names.push_back(name);
  return names;
}

TEST(Json, ResultHasEveryKeyInOrder) {
  ExecutionResult result;
  result.response = "Paris";
  result.metadata.controls["memory"] = {ControlState::Enforced, "cgroup v2", ""};
  result.metadata.controls["io"] = {ControlState::Unavailable, "no io.max", ""};
  const Json json = to_json(result);
  EXPECT_EQ(keys(json),
            (std::vector<std::string>{"execution_id", "model", "agent", "profile", "isolation",
                                      "response", "finish_reason", "usage", "timing_ms",
                                      "resources", "verdict", "controls"}));
  EXPECT_EQ(json["response"], "Paris");
  EXPECT_EQ(json["verdict"]["kind"], "Running");
  EXPECT_EQ(json["controls"]["memory"]["mechanism"], "cgroup v2");
  EXPECT_EQ(json["controls"]["io"]["reason"], "no io.max");
}

TEST(Json, ErrorReplacesTheResponse) {
  SlmRunnerError error(runner_error::ResourceLimitExceeded{"memory", 64, 63});
  ExecutionMetadata metadata;
  metadata.execution_id = "exec-1";
  metadata.verdict.kind = VerdictKind::MemoryLimit;
  metadata.verdict.limit_bytes = 64;
  error.set_context("half \xFF", metadata);
  const Json json = to_json(error);
  EXPECT_FALSE(json.contains("response"));
  EXPECT_EQ(json["error"]["code"], "ResourceLimitExceeded");
  EXPECT_EQ(json["error"]["limit"], 64);
  EXPECT_EQ(json["verdict"]["limit_bytes"], 64);
  EXPECT_EQ(json["execution_id"], "exec-1");
  EXPECT_NE(dump(json).find("half \xEF\xBF\xBD"), std::string::npos);
}

}  // namespace
}  // namespace symbiont::observe
