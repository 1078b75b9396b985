#include "cmd/symbiont/serve_options.h"

#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/result.h"
#include "cmd/symbiont/options.h"
#include "config/address.h"
#include "runners/model_file.h"

namespace symbiont::cli {
namespace {

constexpr std::string_view kBuiltInProfile = "secure";
constexpr const char* kDefaultHost = "127.0.0.1";
constexpr std::uint16_t kDefaultPort = 8080;
constexpr std::uint32_t kMaxDrainSeconds = 3'600;

std::expected<std::filesystem::path, Failure> absolute(const std::string& given,
                                                       std::string_view option) {
  std::error_code error;
  auto path = std::filesystem::absolute(given, error);
  if (!error) return path;
  return std::unexpected(usage_failure(fmt::format("{}: {}", option, error.message())));
}

/// A configuration for one model file. Its id is the file's name: callers see it.
std::expected<Slm, Failure> slm_for_file(const ServeOptions& options) {
  SYMBIONT_TRY(const std::filesystem::path path, absolute(options.model, "--model"));
  if (const auto file = ModelFile::open(path, std::nullopt); !file.has_value())
    return std::unexpected(to_failure(file.error()));
  Slm slm;
  Model model;
  model.id = path.stem().string();
  model.name = path.filename().string();
  model.provider = provider::LocalFile{path};
  model.capabilities = {ModelCapability::TextGeneration};
  model.sandbox_profile = kBuiltInProfile;
  slm.model_allow_lists.global_models.push_back(std::move(model));
  SandboxProfile& profile =
      slm.sandbox_profiles.emplace(kBuiltInProfile, SandboxProfile{}).first->second;
  for (const std::string& assignment : options.sets) {
    SYMBIONT_TRY_STATUS(set_profile_field(profile, assignment));
  }
  return slm;
}

std::expected<void, Failure> apply(const ServeOptions& options, ServerSettings& server) {
  if (!options.listen.empty()) {
    auto address = config::parse_listen_address(options.listen);
    if (!address.has_value()) {
      return std::unexpected(usage_failure("--listen: " + address.error().message(),
                                           "as in --listen 127.0.0.1:8080 or --listen [::1]:0"));
    }
    server.listen = *std::move(address);
  }
  if (!options.unix_socket.empty()) {
    SYMBIONT_TRY(server.unix_socket, absolute(options.unix_socket, "--unix"));
  }
  if (!options.keys.empty()) {
    SYMBIONT_TRY(server.keys_file, absolute(options.keys, "--keys"));
  }
  if (!server.listen.has_value() && server.unix_socket.empty()) {
    server.listen = ListenAddress{kDefaultHost, kDefaultPort};
  }
  return {};
}

}  // namespace

void add_serve_options(CLI::App& command, ServeOptions& options) {
  add_config_option(command, options.config);
  command.add_option("-m,--model", options.model, "serve this GGUF file, without a configuration")
      ->type_name("PATH");
  command
      .add_option("--listen", options.listen,
                  "address; port 0 takes a free one [127.0.0.1:8080, or as configured]")
      ->type_name("HOST:PORT");
  command.add_option("--unix", options.unix_socket, "Unix socket, beside or instead of an address")
      ->type_name("PATH");
  command.add_option("--keys", options.keys, "file of API keys, see 'symbiont key'")
      ->type_name("FILE");
  command
      .add_option("--drain-seconds", options.drain_seconds,
                  "after SIGTERM, time for executions under way")
      ->capture_default_str()
      ->check(CLI::Range(std::uint32_t{0}, kMaxDrainSeconds))
      ->type_name("N");
  command
      .add_option("--set", options.sets,
                  "with --model, change one field of its profile, as in "
                  "resources.max_memory_mb=1024; repeatable")
      ->type_name("FIELD=VALUE")
      ->allow_extra_args(false);
  command.add_flag("--degraded", options.degraded,
                   "run even when this host cannot enforce a control (it is named in the log)");
}

bool has_config(const ServeOptions& options) {
  return options.model.empty();
}

std::expected<Slm, Failure> load_served(const ServeOptions& options) {
  if (!options.model.empty() && !options.config.empty()) {
    return std::unexpected(usage_failure("--model and --config exclude each other",
                                         "all models of a configuration are served"));
  }
  if (options.model.empty() && !options.sets.empty()) {
    return std::unexpected(
        usage_failure("--set goes with --model", "profiles of a configuration are changed there"));
  }
  if (options.model.empty() && find_config(options.config).empty()) {
    return std::unexpected(usage_failure(
        "there is nothing to serve: no configuration and no --model",
        "as in: symbiont serve --model model.gguf, or symbiont serve --config symbiont.toml"));
  }
  SYMBIONT_TRY(Slm slm,
               options.model.empty() ? load_config(options.config) : slm_for_file(options));
  if (options.degraded) slm.enforcement = Enforcement::Degraded;
  SYMBIONT_TRY_STATUS(apply(options, slm.server));
  return slm;
}

}  // namespace symbiont::cli
