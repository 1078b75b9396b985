#ifndef SYMBIONT_CMD_SYMBIONT_OPTIONS_H_
#define SYMBIONT_CMD_SYMBIONT_OPTIONS_H_

#include <chrono>
#include <expected>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "symbiont/execution.h"
#include "symbiont/sandbox_profile.h"
#include "symbiont/slm.h"

#include "cmd/symbiont/exit_codes.h"

namespace symbiont::cli {

/// What a parsed command line does; returns the exit code.
using Action = std::function<int()>;

/// Options that `run` and `chat` share, as given.
struct RunOptions {
  std::string config;
  std::string model;
  std::string agent;
  std::string profile;
  std::vector<std::string> sets;  ///< "resources.max_memory_mb=1024"
  bool degraded = false;
  bool quiet = false;
  std::string timeout_text = "30s";
  std::optional<std::uint64_t> seed;
  ExecutionOptions execution;
};

/// Registers the options of RunOptions on `command`.
void add_run_options(CLI::App& command, RunOptions& options);
/// --config
void add_config_option(CLI::App& command, std::string& config);

/// The execution options with timeout and seed filled in.
[[nodiscard]] std::expected<ExecutionOptions, Failure> execution_options(const RunOptions& options);

/// "30", "30s", "2m", "1h", "500ms", "1.5s": a time above zero.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

/// Where the configuration is: --config, $SYMBIONT_CONFIG, ./symbiont.toml, then
/// ${XDG_CONFIG_HOME:-~/.config}/symbiont/symbiont.toml. Empty when there is none.
[[nodiscard]] std::filesystem::path find_config(const std::string& given);

/// Reads the configuration at find_config(); a Failure when there is none.
[[nodiscard]] std::expected<Slm, Failure> load_config(const std::string& given);

/// Applies "FIELD=VALUE" of --set to a profile. FIELD is as in the configuration, below
/// [slm.sandbox_profiles.NAME].
[[nodiscard]] std::expected<void, Failure> set_profile_field(SandboxProfile& profile,
                                                             std::string_view assignment);

}  // namespace symbiont::cli

#endif  // SYMBIONT_CMD_SYMBIONT_OPTIONS_H_
