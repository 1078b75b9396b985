// What valid configurations become.
#include "symbiont/slm.h"

#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

namespace symbiont {
namespace {

std::filesystem::path data_directory() {
  const char* source = std::getenv("SYMBIONT_SOURCE_DIR");  // NOLINT(concurrency-mt-unsafe)
  return std::filesystem::path(source == nullptr ? "." : source) / "tests/data";
}

std::string messages(const std::expected<Slm, ConfigErrors>& slm) {
  return slm.has_value() ? std::string() : slm.error().to_string();
}

TEST(Slm, EmptyTextIsTheDefaults) {
  const auto slm = Slm::from_toml("");
  ASSERT_TRUE(slm.has_value()) << messages(slm);
  EXPECT_TRUE(slm->enabled);
  EXPECT_EQ(slm->default_sandbox_profile, "secure");
  EXPECT_EQ(slm->enforcement, Enforcement::Strict);
  EXPECT_FALSE(slm->model_allow_lists.agent_model_maps.has_value());
  EXPECT_TRUE(slm->warnings.empty());
}

TEST(Slm, SeedSampleParsesWithItsTwoWarnings) {
  const auto slm = Slm::from_file(data_directory() / "seed_sample.toml");
  ASSERT_TRUE(slm.has_value()) << messages(slm);
  ASSERT_EQ(slm->warnings.size(), 2U);
  EXPECT_EQ(slm->warnings[0].line, 15U);
  EXPECT_EQ(
      slm->warnings[0].message,
      "model 'llama2-7b' needs 8192 MiB and cannot run: its profile 'secure' allows 4096 MiB");
  EXPECT_EQ(slm->warnings[1].line, 21U);
  EXPECT_EQ(slm->warnings[1].key, "slm.model_allow_lists.agent_model_maps.code_generator[0]");
  EXPECT_EQ(slm->warnings[1].message,
            "there is no model 'codellama-7b'; this entry grants nothing");
  // The profile is partial: the rest is the built-in one.
  const SandboxProfile& secure = slm->sandbox_profiles.at("secure");
  EXPECT_EQ(secure.resources.max_memory_mb, 4096U);
  EXPECT_EQ(secure.resources.max_disk_mb, SandboxProfile{}.resources.max_disk_mb);
  EXPECT_EQ(secure.process_limits, SandboxProfile{}.process_limits);
}

class FullFile : public ::testing::Test {
 protected:
  void SetUp() override {
    auto read = Slm::from_file(data_directory() / "full.toml");
    ASSERT_TRUE(read.has_value()) << messages(read);
    slm_ = *std::move(read);
  }
  Slm slm_;
};

TEST_F(FullFile, Settings) {
  EXPECT_EQ(slm_.default_sandbox_profile, "wide");
  EXPECT_TRUE(slm_.allow_runtime_overrides);
  EXPECT_EQ(slm_.unmapped_agents, UnmappedAgents::All);
  EXPECT_EQ(slm_.enforcement, Enforcement::Degraded);
  EXPECT_TRUE(slm_.warnings.empty()) << slm_.warnings.front().to_string();
  ASSERT_TRUE(slm_.model_allow_lists.agent_model_maps.has_value());
  const std::map<std::string, std::vector<std::string>, std::less<>> maps = {
      {"scanner", {"local", "hub"}}, {"odd name", {}}};
  EXPECT_EQ(*slm_.model_allow_lists.agent_model_maps, maps);
}

TEST_F(FullFile, Models) {
  const auto& models = slm_.model_allow_lists.global_models;
  ASSERT_EQ(models.size(), 6U);
  Model local;
  local.id = "local";
  local.name = "Local";
  local.provider = provider::LocalFile{
      (std::filesystem::absolute(data_directory()) / "models/local.gguf").lexically_normal()};
  for (const ModelCapability capability : kAllModelCapabilities)
    local.capabilities.insert(capability);
  local.version = "2024-01";
  local.sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  local.sandbox_profile = "secure";
  local.isolation = Isolation::Request;
  local.resource_requirements = {256, 2.0, GpuRequirements{1024, "8.6"}};
  EXPECT_EQ(models[0], local);
  EXPECT_EQ(models[1].provider, ModelProvider(provider::HuggingFace{"org/model"}));
  EXPECT_EQ(models[1].name, "hub");
  EXPECT_TRUE(models[1].capabilities.empty());
  EXPECT_EQ(models[2].provider, ModelProvider(provider::OpenAI{"one"}));
  EXPECT_EQ(models[2].isolation, Isolation::Agent);
  EXPECT_EQ(models[3].provider, ModelProvider(provider::Anthropic{"two"}));
  EXPECT_EQ(models[3].isolation, Isolation::Shared);
  EXPECT_EQ(models[4].provider, ModelProvider(provider::Custom{"https://models.example:8443/v1"}));
  EXPECT_EQ(models[5].provider, ModelProvider(provider::Process{{"/usr/bin/env", "-i", "true"}}));
}

TEST_F(FullFile, Profiles) {
  SandboxProfile wide;
  wide.name = "wide";
  wide.resources = {4096, 2.5, 1000, {GpuAccessMode::Shared, 2048}, 100};
  wide.filesystem = {
      {"/usr/share", "/opt/data"}, {"/var/tmp/out"}, {"/usr/share/secret"}, true, 20};
  wide.process_limits = {4, 60, {"read", "write", "exit_group"}, 5};
  wide.network = {NetworkAccessMode::Restricted,
                  {{"api.example", 8443, NetworkProtocol::TCP}, {"::1", 53, NetworkProtocol::UDP}},
                  50};
  wide.security = {false, false, false, true};
  EXPECT_EQ(slm_.sandbox_profiles.at("wide"), wide);
  SandboxProfile secure;
  secure.resources.gpu_access.mode = GpuAccessMode::Exclusive;
  EXPECT_EQ(slm_.sandbox_profiles.at("secure"), secure);
}

TEST_F(FullFile, ServerAndAudit) {
  const auto directory = std::filesystem::absolute(data_directory()).lexically_normal();
  EXPECT_EQ(slm_.server.listen, (ListenAddress{"::1", 8080}));
  EXPECT_EQ(slm_.server.unix_socket, directory / "run/symbiont.sock");
  EXPECT_EQ(slm_.server.keys_file, "/etc/symbiont/keys");
  ASSERT_TRUE(slm_.server.tls.has_value());
  EXPECT_EQ(slm_.server.tls->certificate_file, directory / "tls/cert.pem");
  EXPECT_EQ(slm_.server.tls->private_key_file, directory / "tls/key.pem");
  EXPECT_EQ(slm_.server.limits.max_body_bytes, 1'048'576U);
  EXPECT_EQ(slm_.server.limits.max_connections, 500U);
  EXPECT_EQ(slm_.server.limits.header_timeout, std::chrono::seconds(5));
  const ServerLimits& limits = slm_.server.limits;
  EXPECT_EQ(limits.body_timeout, std::chrono::seconds(6));
  EXPECT_EQ(limits.idle_timeout, std::chrono::seconds(7));
  EXPECT_EQ(limits.write_timeout, std::chrono::seconds(8));
  EXPECT_EQ(limits.execution_timeout, std::chrono::seconds(9));
  EXPECT_EQ(limits.max_running, 10U);
  EXPECT_EQ(limits.max_running_per_agent, 11U);
  EXPECT_EQ(limits.max_queued, 12U);
  EXPECT_EQ(limits.max_queued_per_agent, 13U);
  EXPECT_EQ(slm_.server.quotas.requests_per_minute, 14U);
  EXPECT_EQ(slm_.server.quotas.tokens_per_minute, 15U);
  EXPECT_EQ(slm_.server.default_agent, "local");
  EXPECT_EQ(slm_.server.unix_agents.at(1000), "security_scanner");
  EXPECT_EQ(slm_.server.allowed_hosts, std::vector<std::string>{"llm.example"});
  EXPECT_EQ(slm_.server.cors_origins, std::vector<std::string>{"https://app.example"});
  EXPECT_EQ(slm_.audit.path, directory / "audit.log");
  EXPECT_EQ(slm_.audit.sync, AuditSync::Always);
  EXPECT_EQ(slm_.audit.signing_key_file, directory / "audit.key");
}

TEST(Slm, FileThatIsNotThere) {
  const auto slm = Slm::from_file("/nowhere/symbiont.toml");
  ASSERT_FALSE(slm.has_value());
  ASSERT_EQ(slm.error().errors.size(), 1U);
  EXPECT_EQ(slm.error().errors[0].file, "/nowhere/symbiont.toml");
  EXPECT_EQ(slm.error().errors[0].line, 0U);
}

}  // namespace
}  // namespace symbiont
