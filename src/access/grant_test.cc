#include "access/grant.h"

#include <functional>
#include <limits>

#include <gtest/gtest.h>

namespace symbiont::access {
namespace {

ModelCatalog make_catalog(bool allow_overrides) {
  Slm slm;
  Model model;
  model.id = "m";
  slm.model_allow_lists.global_models = {model};
  slm.model_allow_lists.agent_model_maps.emplace();
  slm.model_allow_lists.agent_model_maps->emplace("a", std::vector<std::string>{"m"});
  slm.allow_runtime_overrides = allow_overrides;
  slm.sandbox_profiles["tight"].resources.max_memory_mb = 64;
  slm.sandbox_profiles["loose"].resources.max_memory_mb = 4096;
  return *ModelCatalog::create(slm);
}

TEST(Check, GrantsTheModelsOwnProfile) {
  const auto grant = check(make_catalog(false), "a", "m");
  ASSERT_TRUE(grant.has_value());
  EXPECT_EQ(grant->agent(), "a");
  EXPECT_EQ(grant->model().id, "m");
  EXPECT_EQ(grant->profile().name, "secure");
}

TEST(Check, RefusesOtherAgentsAndModels) {
  EXPECT_FALSE(check(make_catalog(false), "b", "m").has_value());
  EXPECT_FALSE(check(make_catalog(false), "a", "n").has_value());
  EXPECT_FALSE(check(make_catalog(false), "a", "m", "no-such-profile").has_value());
}

TEST(Check, ARequestMayTightenAlwaysAndLoosenOnlyWhereAllowed) {
  EXPECT_TRUE(check(make_catalog(false), "a", "m", "tight").has_value());
  const auto refused = check(make_catalog(false), "a", "m", "loose");
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message().find("loosens resources.max_memory_mb"), std::string::npos);
  EXPECT_TRUE(check(make_catalog(true), "a", "m", "loose").has_value());
}

TEST(FirstLoosenedField, KnowsEveryField) {
  SandboxProfile base;
  base.filesystem.read_paths = {"/data"};
  base.filesystem.denied_paths = {"/data/secret"};
  base.network.max_bandwidth_mbps = 10;
  base.security.require_encryption = true;
  const struct {
    const char* field;
    std::function<void(SandboxProfile&)> loosen;
  } cases[] = {
      {"", [](SandboxProfile&) {}},
      {"", [](SandboxProfile& p) { p.filesystem.read_paths = {"/data/part"}; }},
      {"resources.max_memory_mb", [](SandboxProfile& p) { p.resources.max_memory_mb += 1; }},
      {"resources.max_cpu_cores", [](SandboxProfile& p) { p.resources.max_cpu_cores += 0.1; }},
      {"resources.max_disk_mb", [](SandboxProfile& p) { p.resources.max_disk_mb += 1; }},
      {"resources.gpu_access",
       [](SandboxProfile& p) { p.resources.gpu_access.mode = GpuAccessMode::Shared; }},
      {"resources.max_io_bandwidth_mbps",
       [](SandboxProfile& p) { p.resources.max_io_bandwidth_mbps += 1; }},
      {"filesystem.read_paths", [](SandboxProfile& p) { p.filesystem.read_paths = {"/database"}; }},
      {"filesystem.write_paths", [](SandboxProfile& p) { p.filesystem.write_paths = {"/data"}; }},
      {"filesystem.denied_paths", [](SandboxProfile& p) { p.filesystem.denied_paths = {}; }},
      {"filesystem.allow_temp_files",
       [](SandboxProfile& p) { p.filesystem.allow_temp_files = true; }},
      {"filesystem.max_file_size_mb",
       [](SandboxProfile& p) { p.filesystem.max_file_size_mb += 1; }},
      {"process_limits.max_child_processes",
       [](SandboxProfile& p) { p.process_limits.max_child_processes += 1; }},
      {"process_limits.max_execution_time_seconds",
       [](SandboxProfile& p) { p.process_limits.max_execution_time_seconds += 1; }},
      {"process_limits.allowed_syscalls",
       [](SandboxProfile& p) { p.process_limits.allowed_syscalls = {"socket"}; }},
      {"process_limits.process_priority",
       [](SandboxProfile& p) { p.process_limits.process_priority -= 1; }},
      {"network.access_mode",
       [](SandboxProfile& p) { p.network.access_mode = NetworkAccessMode::Full; }},
      {"network.allowed_destinations",
       [](SandboxProfile& p) {
         p.network.allowed_destinations = {{"example.org", 443, NetworkProtocol::HTTPS}};
       }},
      {"network.max_bandwidth_mbps", [](SandboxProfile& p) { p.network.max_bandwidth_mbps = 0; }},
      {"security.strict_syscall_filtering",
       [](SandboxProfile& p) { p.security.strict_syscall_filtering = false; }},
      {"security.disable_debugging",
       [](SandboxProfile& p) { p.security.disable_debugging = false; }},
      {"security.enable_audit_logging",
       [](SandboxProfile& p) { p.security.enable_audit_logging = false; }},
      {"security.require_encryption",
       [](SandboxProfile& p) { p.security.require_encryption = false; }},
  };
  for (const auto& each : cases) {
    SandboxProfile wanted = base;
    each.loosen(wanted);
    EXPECT_EQ(first_loosened_field(base, wanted), each.field);
  }
}

TEST(FirstLoosenedField, LooksThroughSpellings) {
  const struct {
    const char* field;
    std::function<void(SandboxProfile&)> loosen;
  } cases[] = {
      {"process_limits.allowed_syscalls",  // the runner's baseline allows more than two calls
       [](SandboxProfile& p) { p.process_limits.allowed_syscalls = {}; }},
      {"", [](SandboxProfile& p) { p.process_limits.allowed_syscalls = {"read"}; }},
      {"filesystem.read_paths",
       [](SandboxProfile& p) { p.filesystem.read_paths = {"/data/../etc"}; }},
      {"", [](SandboxProfile& p) { p.filesystem.read_paths = {"/data/./part/"}; }},
      {"", [](SandboxProfile& p) { p.resources.gpu_access = {GpuAccessMode::Shared, 64}; }},
      {"resources.max_cpu_cores",
       [](SandboxProfile& p) {
         p.resources.max_cpu_cores = std::numeric_limits<double>::quiet_NaN();
       }},
  };
  SandboxProfile base;
  base.filesystem.read_paths = {"/data/"};
  base.process_limits.allowed_syscalls = {"read", "write"};
  base.resources.gpu_access.mode = GpuAccessMode::Exclusive;
  for (const auto& each : cases) {
    SandboxProfile wanted = base;
    each.loosen(wanted);
    EXPECT_EQ(first_loosened_field(base, wanted), each.field);
  }
}

}  // namespace
}  // namespace symbiont::access
