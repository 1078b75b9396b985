// Each wrong configuration and the message it gets, word for word.
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "symbiont/slm.h"

namespace symbiont {
namespace {

constexpr std::string_view kModel = R"([[slm.model_allow_lists.global_models]]
id = "m"
provider = { LocalFile = { file_path = "/m.gguf" } }
capabilities = ["TextGeneration"]
)";

struct Case {
  std::string text;
  std::string expected;  ///< all errors, one a line
};

class Errors : public ::testing::TestWithParam<Case> {};

TEST_P(Errors, AreReportedWithPlaceAndKey) {
  const auto slm = Slm::from_toml(GetParam().text, "f");
  ASSERT_FALSE(slm.has_value()) << GetParam().text;
  EXPECT_EQ(slm.error().to_string(), GetParam().expected);
}

std::string model(std::string_view more) {
  return std::string(kModel) + std::string(more);
}

std::string provider(std::string_view value) {
  return "[[slm.model_allow_lists.global_models]]\nid = \"m\"\ncapabilities = []\nprovider = " +
         std::string(value);
}

std::string profile(std::string_view part, std::string_view line) {
  return "[slm.sandbox_profiles.p." + std::string(part) + "]\n" + std::string(line);
}

INSTANTIATE_TEST_SUITE_P(
    Slm,
    Errors,
    ::testing::Values(
        Case{"[slm]\nenabeld = true", "f:2:1: slm.enabeld: unknown key; did you mean 'enabled'?"},
        Case{"[smm]\n", "f:1:2: smm: unknown key; did you mean 'slm'?"},
        Case{"slm = 3", "f:1:7: slm: must be a table, not an integer"},
        Case{"[slm]\nenabled = 1", "f:2:11: slm.enabled: must be true or false, not an integer"},
        Case{"[slm]\nenforcement = \"strickt\"",
             "f:2:15: slm.enforcement: 'strickt' is not one of \"strict\", \"degraded\"; did you "
             "mean 'strict'?"},
        Case{"[slm]\ndefault_sandbox_profile = \"secrue\"",
             "f:2:27: slm.default_sandbox_profile: there is no sandbox profile 'secrue'; did you "
             "mean 'secure'?"},
        Case{"[slm]\ndefault_sandbox_profile = \"\"",
             "f:2:27: slm.default_sandbox_profile: must not be empty"},
        Case{"[slm]\nenabled = fal\x1b[2J",
             "f:2:14: Error while parsing boolean: expected 'false', saw 'fal\\x1b'"},
        Case{"[slm]\nenabled = \u00e9",
             "f:2:11: Error while parsing value: could not determine value type"},
        Case{"[slm]\nenabled = 1\nunmapped_agents = 2",
             "f:2:11: slm.enabled: must be true or false, not an integer\n"
             "f:3:19: slm.unmapped_agents: must be a string, not an integer"},
        // models
        Case{"[[slm.model_allow_lists.global_models]]",
             "f:1:1: slm.model_allow_lists.global_models[0].id: is required and missing\n"
             "f:1:1: slm.model_allow_lists.global_models[0].provider: is required and missing\n"
             "f:1:1: slm.model_allow_lists.global_models[0].capabilities: is required and missing"},
        Case{model(kModel),
             "f:6:6: slm.model_allow_lists.global_models[1].id: the id 'm' is taken by the model "
             "in line 2"},
        Case{model("capabilites = []"),
             "f:5:1: slm.model_allow_lists.global_models[0].capabilites: unknown key; did you mean "
             "'capabilities'?"},
        Case{model("sha256 = \"12\""),
             "f:5:10: slm.model_allow_lists.global_models[0].sha256: must be 64 hexadecimal "
             "digits, not '12'"},
        Case{model("sandbox_profile = \"p\""),
             "f:5:19: slm.model_allow_lists.global_models[0].sandbox_profile: there is no sandbox "
             "profile 'p'"},
        Case{model("isolation = \"Agent\""),
             "f:5:13: slm.model_allow_lists.global_models[0].isolation: 'Agent' is not one of "
             "\"shared\", "
             "\"agent\", \"request\"; did you mean 'agent'?"},
        Case{model("resource_requirements = { min_memory_mb = 0 }"),
             "f:5:43: slm.model_allow_lists.global_models[0].resource_requirements.min_memory_mb: "
             "must be from 1 to "
             "1073741824 MiB, not 0"},
        Case{
            model("resource_requirements.gpu_requirements.compute_capability = \"x\""),
            "f:5:61: slm.model_allow_lists.global_models[0].resource_requirements.gpu_requirements."
            "compute_capability: must be a version such as \"8.6\", not 'x'"},
        Case{provider("{ LocalFile = { file_path = \"m.gguf\" } }"),
             "f:4:40: slm.model_allow_lists.global_models[0].provider.LocalFile.file_path: "
             "'m.gguf' must be an "
             "absolute path: this text has no directory to start from"},
        Case{provider("{ LocalFil = {} }"),
             "f:4:14: slm.model_allow_lists.global_models[0].provider.LocalFil: unknown provider; "
             "did you mean "
             "'LocalFile'?"},
        Case{provider("{}"),
             "f:4:12: slm.model_allow_lists.global_models[0].provider: must hold exactly one "
             "provider, as in "
             "{ LocalFile = { file_path = \"...\" } }; it holds 0"},
        Case{provider("{ OpenAI = {} }"),
             "f:4:23: slm.model_allow_lists.global_models[0].provider.OpenAI.model_name: is "
             "required and missing"},
        Case{provider("{ Custom = { endpoint_url = \"ftp://h\" } }"),
             "f:4:40: slm.model_allow_lists.global_models[0].provider.Custom.endpoint_url: "
             "'ftp://h' must begin "
             "with http:// or https://"},
        Case{provider("{ Custom = { endpoint_url = \"https://u:p@h\" } }"),
             "f:4:40: slm.model_allow_lists.global_models[0].provider.Custom.endpoint_url: must "
             "not hold a user "
             "name or password: keys have a place of their own"},
        Case{provider("{ Process = { command = [] } }"),
             "f:4:36: slm.model_allow_lists.global_models[0].provider.Process.command: must name a "
             "program"},
        Case{provider("{ Process = { command = [\"sh\"] } }"),
             "f:4:36: slm.model_allow_lists.global_models[0].provider.Process.command: the program "
             "'sh' must be an "
             "absolute path: no search path is used"}));

INSTANTIATE_TEST_SUITE_P(
    Profiles,
    Errors,
    ::testing::Values(
        Case{profile("resources", "max_memory_mb = -1"),
             "f:2:17: slm.sandbox_profiles.p.resources.max_memory_mb: must be from 1 to 1073741824 "
             "MiB, not -1"},
        Case{profile("resources", "max_cpu_cores = nan"),
             "f:2:17: slm.sandbox_profiles.p.resources.max_cpu_cores: must be from 0.01 to 4096, "
             "not nan"},
        Case{profile("resources", "max_cpu_cores = inf"),
             "f:2:17: slm.sandbox_profiles.p.resources.max_cpu_cores: must be from 0.01 to 4096, "
             "not inf"},
        Case{profile("resources", "max_io_bandwidth_mbps = 0"),
             "f:2:25: slm.sandbox_profiles.p.resources.max_io_bandwidth_mbps: must be from 1 to "
             "10000000 Mbit/s, not 0"},
        Case{profile("resources", "max_memory_mb = 9223372036854775807"),
             "f:2:17: slm.sandbox_profiles.p.resources.max_memory_mb: must be from 1 to 1073741824 "
             "MiB, not "
             "9223372036854775807"},
        Case{profile("resources", "gpu_access = \"Shared\""),
             "f:2:14: slm.sandbox_profiles.p.resources.gpu_access: Shared needs a size: write { "
             "Shared = { "
             "max_memory_mb = N } }"},
        Case{profile(
                 "resources",
                 "max_disk_mb = 0\n[slm.sandbox_profiles.p.filesystem]\nallow_temp_files = true"),
             "f:2:15: slm.sandbox_profiles.p.resources.max_disk_mb: must not be 0 while "
             "filesystem.allow_temp_files is true"},
        Case{profile("filesystem", "read_paths = [\"usr\", 3, \"/a/../b\"]"),
             "f:2:15: slm.sandbox_profiles.p.filesystem.read_paths[0]: 'usr' must be an absolute "
             "path\n"
             "f:2:22: slm.sandbox_profiles.p.filesystem.read_paths[1]: must be a string, not an "
             "integer\n"
             "f:2:25: slm.sandbox_profiles.p.filesystem.read_paths[2]: '/a/../b' must be an "
             "absolute path without "
             "\"..\""},
        Case{profile("process_limits", "allowed_syscalls = [\"raed\"]"),
             "f:2:21: slm.sandbox_profiles.p.process_limits.allowed_syscalls[0]: no system call is "
             "called 'raed'; did "
             "you mean 'read'?"},
        Case{profile("process_limits", "process_priority = 20"),
             "f:2:20: slm.sandbox_profiles.p.process_limits.process_priority: must be from -20 to "
             "19, not 20"},
        Case{profile("network", "access_mode = \"none\""),
             "f:2:15: slm.sandbox_profiles.p.network.access_mode: 'none' is not one of \"None\", "
             "\"Restricted\", "
             "\"Full\"; did you mean 'None'?"},
        Case{profile("network", "allowed_destinations = [{ host = \"*.x\", port = 0 }]"),
             "f:2:34: slm.sandbox_profiles.p.network.allowed_destinations[0].host: '*.x': "
             "wildcards are not supported\n"
             "f:2:48: slm.sandbox_profiles.p.network.allowed_destinations[0].port: must be from 1 "
             "to 65535, not 0"},
        Case{"[slm.sandbox_profiles.p]\nresource = {}",
             "f:2:1: slm.sandbox_profiles.p.resource: unknown key; did you mean 'resources'?"}));

INSTANTIATE_TEST_SUITE_P(
    Server,
    Errors,
    ::testing::Values(
        Case{"[server]\nlisten = \"localhost\"",
             "f:2:10: server.listen: 'localhost' has no port; write HOST:PORT, as in "
             "\"127.0.0.1:8080\" or "
             "\"[::1]:8080\""},
        Case{"[server]\nlisten = \"h:65536\"",
             "f:2:10: server.listen: 'h:65536' has no port from 0 to 65535; write HOST:PORT, as in "
             "\"127.0.0.1:8080\" or \"[::1]:8080\""},
        Case{"[server]\nlisten = \"::1:80\"",
             "f:2:10: server.listen: '::1:80' needs brackets around an IPv6 address, and only "
             "there; write "
             "HOST:PORT, as in \"127.0.0.1:8080\" or \"[::1]:8080\""},
        Case{"[server.tls]\ncertificate_file = \"/c\"",
             "f:1:1: server.tls.private_key_file: is required and missing"},
        Case{"[server.unix_agents]\nroot = \"x\"",
             "f:2:8: server.unix_agents.root: a user id is a whole number"},
        Case{"[server]\ncors_origins = [\"https://app.example/\"]",
             "f:2:17: server.cors_origins[0]: an origin has no path: \"https://app.example\""},
        Case{"[server.limits]\nmax_connections = 0",
             "f:2:19: server.limits.max_connections: must be from 1 to 1000000, not 0"},
        Case{"[audit]\nsync = \"allways\"",
             "f:2:8: audit.sync: 'allways' is not one of \"always\", \"interval\", \"never\"; did "
             "you mean "
             "'always'?"}));

TEST(SlmText, SyntaxErrorsHaveAPlace) {
  for (const std::string text : {"[slm\n", "a = ", "a = 1\na = 2", "a = \"\xff\"", "= 1"}) {
    const auto slm = Slm::from_toml(text, "f");
    ASSERT_FALSE(slm.has_value()) << text;
    ASSERT_EQ(slm.error().errors.size(), 1U);
    EXPECT_GT(slm.error().errors[0].line, 0U) << text;
    EXPECT_FALSE(slm.error().errors[0].message.empty());
  }
}

TEST(SlmText, HostileTextEndsInAnError) {
  std::string dotted = "a";
  for (int i = 0; i < 200'000; ++i)
    dotted += ".a";
  for (const std::string& text :
       {"a = " + std::string(100'000, '['), dotted + " = 1", "[" + dotted + "]"}) {
    EXPECT_FALSE(Slm::from_toml(text, "f").has_value());
  }
}

TEST(SlmText, TooLongIsRefusedUnparsed) {
  const auto slm = Slm::from_toml(std::string((std::size_t{64} << 20) + 1, '#'), "f");
  ASSERT_FALSE(slm.has_value());
  EXPECT_EQ(slm.error().to_string(),
            "f: is 67108865 bytes long; a configuration has at most 67108864");
}

TEST(SlmText, WarningsDoNotStop) {
  const auto slm = Slm::from_toml(
      "[slm.model_allow_lists.agent_model_maps]\na = [\"x\"]\n"
      "[slm.sandbox_profiles.p.network]\nallowed_destinations = [{ host = \"h\", port = 1 }]\n"
      "[audit]\nsync = \"never\"",
      "f");
  ASSERT_TRUE(slm.has_value()) << slm.error().to_string();
  ASSERT_EQ(slm->warnings.size(), 3U);
  EXPECT_EQ(slm->warnings[0].to_string(),
            "f:2:6: slm.model_allow_lists.agent_model_maps.a[0]: there is no model 'x'; this entry "
            "grants "
            "nothing");
  EXPECT_EQ(slm->warnings[1].to_string(),
            "f:4:24: slm.sandbox_profiles.p.network.allowed_destinations: has no effect while "
            "access_mode is "
            "None; set it to \"Restricted\"");
  EXPECT_EQ(slm->warnings[2].to_string(), "f:5:1: audit: has no path, so nothing is recorded");
}

}  // namespace
}  // namespace symbiont
